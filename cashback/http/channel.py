"""The channel of a request (api, admin, pages), for the change history and the audit log."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import audit
from kernel.client_address import client_ip
from wallet.assets.change_context import acting_through_channel

Handler = Callable[[HttpRequest], HttpResponse]


CHANNELS = {"/api/": "api", "/admin/": "admin"}


def channel_of(request: HttpRequest) -> str:
    """Return the door that a request came through."""
    return next((door for start, door in CHANNELS.items() if request.path.startswith(start)), "pages")


def is_redirected_to_sign_in(user: Any, answer: HttpResponse) -> bool:
    """Tell whether somebody known was sent to the console's sign-in: its way to say that they may not."""
    if answer.status_code != HTTPStatus.FOUND or user is None or not user.is_authenticated:
        return False
    return answer.headers["Location"].partition("?")[0] == reverse("admin:login")


class ChannelMiddleware:
    """Name the door a request came through, for the history of what it changes and for the log of who tried what."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with its door named; record who was told that they may not, and who took a file away."""
        door = channel_of(request)
        where = {"door": door, "ip": client_ip(request), "method": str(request.method), "path": request.path}
        with acting_through_channel(door), audit.request_origin(**where):
            answer = self.get_response(request)
            user = getattr(request, "user", None)
            if answer.status_code == HTTPStatus.FORBIDDEN or is_redirected_to_sign_in(user, answer):
                audit.record_event("permission", "refused", user)
            elif answer.headers.get("Content-Disposition", "").startswith("attachment"):
                audit.record_event("export", "done", user)
            return answer
