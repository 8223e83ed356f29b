"""Limits on the size of request bodies."""

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from cashback.http.security_headers import Handler
from wallet.admin.import_csv import MAX_UPLOAD_BYTES

# Where a file is taken: its largest size, with room for the form around it.
UPLOADS = {"/admin/assets/cashbackasset/import/": MAX_UPLOAD_BYTES + 16 * 1024}


class BodySizeMiddleware:
    """Refuse a body beyond the limit unread: Django bounds forms, but neither JSON nor files, which it would put on the disk.

    A body that does not tell its length is refused.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request; raise RequestDataTooBig, or BadRequest for a body of no told length, which would be lost."""
        if "HTTP_TRANSFER_ENCODING" in request.META:
            raise BadRequest("Send the body with its Content-Length: one in chunks is not read.")
        if declared_length(request) > UPLOADS.get(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
            raise RequestDataTooBig
        return self.get_response(request)


def declared_length(request: HttpRequest) -> int:
    """Return how many bytes of body Django would read: what the header says, or none when that is no number."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
