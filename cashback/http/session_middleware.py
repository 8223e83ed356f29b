"""Session, user, messages and htmx for browsers. A request to the API with a bearer token skips them.

Such a request is authenticated by its token alone (accounts/authentication.py), never by a session.
"""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django_htmx import middleware as htmx

if TYPE_CHECKING:

    class Middleware:
        """A middleware of Django."""

        get_response: Any

        def __call__(self, request: HttpRequest) -> Any:
            """Return the response."""

else:
    Middleware = object


class BrowserOnlyMiddleware(Middleware):
    """Is skipped by requests to the API with a bearer token."""

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response."""
        return self.get_response(request) if has_bearer_token(request) else super().__call__(request)


def has_bearer_token(request: HttpRequest) -> bool:
    """Return whether the API will authenticate the request by its bearer token."""
    return request.path_info.startswith("/api/") and request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer ")


class SessionMiddleware(BrowserOnlyMiddleware, sessions.SessionMiddleware):
    """Sessions, for browsers only."""


class AuthenticationMiddleware(BrowserOnlyMiddleware, auth.AuthenticationMiddleware):
    """The user of the session, for browsers only."""


class MessageMiddleware(BrowserOnlyMiddleware, messages.MessageMiddleware):
    """One-time messages, for browsers only."""


class HtmxMiddleware(BrowserOnlyMiddleware, htmx.HtmxMiddleware):
    """`request.htmx`, for browsers only."""
