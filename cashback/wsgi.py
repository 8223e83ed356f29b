"""The WSGI application."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import parse_header_parameters

from cashback.env import LOCAL

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
if LOCAL:
    from dev import services  # the package is not part of a deployment

    services.acquire_lease_if_local()


class Request(WSGIRequest):
    """A request that is read as UTF-8 whatever charset its Content-Type names.

    Django would decode the query string with that charset before any view or error handler runs, and fail on codecs that are
    not text encodings (zlib, rot13).
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Application(WSGIHandler):
    """Answers HEAD without a body, which Django leaves to the server (RFC 9110 §9.3.2)."""

    request_class = Request

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response."""
        response = super().get_response(request)
        if request.method == "HEAD":
            if response.streaming:
                response.streaming_content = ()  # type: ignore[attr-defined]
            else:
                response.content = b""  # type: ignore[attr-defined]
        return response


django.setup(set_prefix=False)
application = Application()
