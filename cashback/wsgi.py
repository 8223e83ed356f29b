"""The web server's entrance."""

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
if os.environ.get("CASHBACK_ENV", "local") == "local":
    from dev import services

    services.acquire_lease_if_local()


class Request(WSGIRequest):
    """A request in UTF-8, whatever charset its sender names.

    Django would decode the query string by that name before any view or handler stands ready, and break on those that are
    no text encodings (zlib, rot13).
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


application = get_wsgi_application()
application.request_class = Request
