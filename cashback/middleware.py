"""What every request passes on its way in, and every answer on its way out."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.urls import reverse

from accounts import audit
from accounts.throttles import client_ip
from cashback.headers import CONSOLE, HEADERS, STRICT
from wallet.admin.uploading import MOST_BYTES
from wallet.trace import through

DOORS = {"/api/": "api", "/admin/": "admin"}
# Where a file is taken: its largest size, with room for the form around it.
UPLOADS = {"/admin/assets/cashbackasset/import/": MOST_BYTES + 16 * 1024}
Handler = Callable[[HttpRequest], HttpResponse]

POLICIES = {"admin": CONSOLE}


def door_of(request: HttpRequest) -> str:
    """Return the door that a request came through."""
    return next((door for start, door in DOORS.items() if request.path.startswith(start)), "pages")


class SlashMiddleware(CommonMiddleware):
    """Put a missing slash to the address of a page that is looked at; what is sent is never redirected and lost."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Return whether the address is one of ours but for its slash, and nothing was sent to it."""
        return request.method in ("GET", "HEAD") and super().should_redirect_with_slash(request)


class HeadersMiddleware:
    """Tell browsers on every answer what it may load and who may keep it; Django's own middleware says the rest."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with the headers that the answer does not set itself."""
        answer = self.get_response(request)
        for name, value in {"Content-Security-Policy": POLICIES.get(door_of(request), STRICT), **HEADERS}.items():
            answer.headers.setdefault(name, value)
        return answer


class BodyMiddleware:
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


def is_turned_away(user: Any, answer: HttpResponse) -> bool:
    """Tell whether somebody known was sent to the console's sign-in: its way to say that they may not."""
    if answer.status_code != HTTPStatus.FOUND or user is None or not user.is_authenticated:
        return False
    return answer.headers["Location"].partition("?")[0] == reverse("admin:login")


class DoorMiddleware:
    """Name the door a request came through, for the history of what it changes and for the log of who tried what."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with its door named; record who was told that they may not, and who took a file away."""
        door = door_of(request)
        where = {"door": door, "ip": client_ip(request), "method": str(request.method), "path": request.path}
        with through(door), audit.coming_from(**where):
            answer = self.get_response(request)
            user = getattr(request, "user", None)
            if answer.status_code == HTTPStatus.FORBIDDEN or is_turned_away(user, answer):
                audit.record("permission", "refused", user)
            elif answer.headers.get("Content-Disposition", "").startswith("attachment"):
                audit.record("export", "done", user)
            return answer
