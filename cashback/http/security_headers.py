"""Security headers of every response."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from cashback.http.channel import channel_of
from cashback.http.headers import CONSOLE_POLICY, HEADERS, STRICT_POLICY

Handler = Callable[[HttpRequest], HttpResponse]


STRICT_HEADERS = {"Content-Security-Policy": STRICT_POLICY, **HEADERS}
CONSOLE_HEADERS = {"Content-Security-Policy": CONSOLE_POLICY, **HEADERS}


class SecurityHeadersMiddleware:
    """Adds the security headers that Django's own middleware does not."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the headers that it does not set itself."""
        answer = self.get_response(request)
        for name, value in (CONSOLE_HEADERS if channel_of(request) == "admin" else STRICT_HEADERS).items():
            answer.headers.setdefault(name, value)
        return answer
