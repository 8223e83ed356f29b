"""Session, user, messages and htmx for browsers. A request to the API with a token or a service key skips them.

Such a request is authenticated by its token or key alone (accounts/authentication.py, accounts/service_authentication.py),
never by a session.
"""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse
from django_htmx import middleware as htmx

from accounts import clients

if TYPE_CHECKING:

    class Middleware:
        """A middleware of Django."""

        get_response: Any

        def __call__(self, request: HttpRequest) -> Any:
            """Return the response."""

        def process_request(self, request: HttpRequest) -> None:
            """Prepare the request."""

        def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
            """Complete the response."""

else:
    Middleware = object


class BrowserOnlyMiddleware(Middleware):
    """Is skipped by requests to the API with a token or a service key."""

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response."""
        return self.get_response(request) if has_credentials(request) else super().__call__(request)


def has_credentials(request: HttpRequest) -> bool:
    """Return whether the API will authenticate the request by its bearer token or service key."""
    scheme = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[0]
    return scheme.lower() in ("bearer", "api-key") and request.path_info.startswith("/api/")


class SessionMiddleware(BrowserOnlyMiddleware, sessions.SessionMiddleware):
    """Sessions, for browsers only, with their browser and last use. A form, such as a claim's, does not pay for the latter."""

    def process_request(self, request: HttpRequest) -> None:
        """Add the session, which knows the client."""
        super().process_request(request)
        request.session.client = clients.client_of(request)  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the session, record its use and remember the device of a sign-in."""
        if request.method in ("GET", "HEAD"):
            request.session.record_use()  # type: ignore[attr-defined]
        clients.set_device_cookie(request, response, secure=settings.SESSION_COOKIE_SECURE)
        return super().process_response(request, response)


class AuthenticationMiddleware(BrowserOnlyMiddleware, auth.AuthenticationMiddleware):
    """The user of the session, for browsers only."""


class MessageMiddleware(BrowserOnlyMiddleware, messages.MessageMiddleware):
    """One-time messages, for browsers only."""


class HtmxMiddleware(BrowserOnlyMiddleware, htmx.HtmxMiddleware):
    """`request.htmx`, for browsers only."""
