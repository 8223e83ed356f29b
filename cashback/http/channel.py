"""The channel of a request (api, admin, pages), for the change history and the audit log."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import audit
from accounts.service_authentication import ServiceCaller
from kernel.client_address import client_ip
from kernel.request_id import current_request_id
from wallet.assets.change_context import acting_through_channel

Handler = Callable[[HttpRequest], HttpResponse]


def channel_of(request: HttpRequest) -> str:
    """Return the channel of a request, by its path."""
    path = request.path
    return "api" if path.startswith("/api/") else "admin" if path.startswith("/admin/") else "pages"


def is_redirected_to_sign_in(user: Any, answer: HttpResponse) -> bool:
    """Return whether a signed-in user was redirected to the console's sign-in page, which is how the console refuses."""
    if answer.status_code != HTTPStatus.FOUND or user is None or not user.is_authenticated:
        return False
    return answer.headers["Location"].partition("?")[0] == reverse("admin:login")


def service_of(caller: Any) -> dict[str, str]:
    """Return the id of the service that calls and the prefix of its key; nothing for any other caller."""
    return {"service": str(caller.service.pk), "key": caller.key_prefix} if isinstance(caller, ServiceCaller) else {}


class ChannelMiddleware:
    """Sets the channel of a request for the change history and the audit log, and records refusals and exports there."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        channel = channel_of(request)
        where = {"door": channel, "ip": client_ip(request), "method": str(request.method), "path": request.path}
        where["request_id"] = current_request_id.get()
        with acting_through_channel(channel), audit.request_origin(**where):
            answer = self.get_response(request)
            user = getattr(request, "user", None)
            if answer.status_code == HTTPStatus.FORBIDDEN or is_redirected_to_sign_in(user, answer):
                audit.record_event("permission", "refused", user, **service_of(user))
            elif answer.headers.get("Content-Disposition", "").startswith("attachment"):
                audit.record_event("export", "done", user)
            return answer
