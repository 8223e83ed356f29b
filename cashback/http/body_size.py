"""Limits on the size of request bodies."""

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from cashback.http.security_headers import Handler
from wallet.admin.import_csv import MAX_UPLOAD_BYTES

# The addresses that accept a file, and their largest body: the file and the form around it.
UPLOADS = {"/admin/assets/cashbackasset/import/": MAX_UPLOAD_BYTES + 16 * 1024}


class BodySizeMiddleware:
    """Refuses a body that is too large before it is read. Django limits forms, but neither JSON nor files.

    A body without Content-Length is refused too.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response; raise RequestDataTooBig, or BadRequest for a body without Content-Length."""
        if "HTTP_TRANSFER_ENCODING" in request.META:
            raise BadRequest("Send the body with its Content-Length. A chunked body is not supported.")
        length, limit = declared_length(request), UPLOADS.get(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if length > limit:
            raise RequestDataTooBig(f"A body of {length} bytes was refused; the limit is {limit}.")
        return self.get_response(request)


def declared_length(request: HttpRequest) -> int:
    """Return the number of bytes that Django would read: Content-Length, or 0 if it is not a number."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
