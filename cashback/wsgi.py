"""The WSGI application."""

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
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


application = get_wsgi_application()
application.request_class = Request
