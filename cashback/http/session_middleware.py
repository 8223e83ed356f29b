"""What a browser's visit needs and an app's call does not: a request to the API with a token of its own passes by.

Such a request is known by its token or refused (accounts/authentication.py): nobody looks at its session.
"""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django_htmx import middleware as htmx

if TYPE_CHECKING:

    class Middleware:
        """Any of Django's."""

        get_response: Any

        def __call__(self, request: HttpRequest) -> Any:
            """Answer the request."""

else:
    Middleware = object


class BrowserOnlyMiddleware(Middleware):
    """Lets those by who bring a token to the API."""

    def __call__(self, request: HttpRequest) -> Any:
        """Answer the request."""
        return self.get_response(request) if has_bearer_token(request) else super().__call__(request)


def has_bearer_token(request: HttpRequest) -> bool:
    """Tell whether the API will ask for the token, and for nothing else, who sends this."""
    return request.path_info.startswith("/api/") and request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer ")


class SessionMiddleware(BrowserOnlyMiddleware, sessions.SessionMiddleware):
    """Visitors have a session."""


class AuthenticationMiddleware(BrowserOnlyMiddleware, auth.AuthenticationMiddleware):
    """Visitors are known by their session."""


class MessageMiddleware(BrowserOnlyMiddleware, messages.MessageMiddleware):
    """Visitors are told on the next page what happened on this one."""


class HtmxMiddleware(BrowserOnlyMiddleware, htmx.HtmxMiddleware):
    """Parts of a page may be asked for alone."""
