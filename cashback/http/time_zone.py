"""The time zone of the pages: of the signed-in user, else of the browser, else UTC."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from accounts import languages, time_zones
from accounts.models import User

Handler = Callable[[HttpRequest], HttpResponse]

# The API and the console show UTC; probes must not read a session.
WITHOUT_TIME_ZONE = ("/api/", "/admin/", "/healthz", "/readyz", "/metrics")


class TimeZoneMiddleware:
    """Activates the time zone of a page. `request.time_zone` is its IANA name, empty when none is known."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response; the first sign-in stores the browser's zone and the page's language for the user."""
        if request.path_info.startswith(WITHOUT_TIME_ZONE):
            return self.get_response(request)
        user = request.user
        name = time_zones.preferred_time_zone(request, user)
        request.time_zone = name  # type: ignore[attr-defined]
        with timezone.override(ZoneInfo(name or "UTC")):
            response = self.get_response(request)
        if request.user.pk != user.pk and isinstance(request.user, User):
            languages.adopt_language(request.user, translation.get_language() or "")
            if name:
                time_zones.adopt_time_zone(request.user, name)
        return response
