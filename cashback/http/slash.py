"""Redirect page addresses without their trailing slash."""

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware


class SlashMiddleware(CommonMiddleware):
    """Put a missing slash to the address of a page that is looked at; what is sent is never redirected and lost."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Return whether the address is one of ours but for its slash, and nothing was sent to it."""
        return request.method in ("GET", "HEAD") and super().should_redirect_with_slash(request)
