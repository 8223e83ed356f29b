"""Redirect page addresses without their trailing slash."""

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware


class SlashMiddleware(CommonMiddleware):
    """Redirects GET and HEAD requests to the address with a trailing slash; a request with a body is never redirected."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Return whether only the slash is missing, and the request is a GET or HEAD."""
        return request.method in ("GET", "HEAD") and super().should_redirect_with_slash(request)
