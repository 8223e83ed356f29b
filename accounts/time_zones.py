"""A person's time zone: their preference, at first the zone of their browser (a cookie that the pages' script sets)."""

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from accounts.models import User
from kernel.time_zones import time_zones

COOKIE = "timezone"


def preferred_time_zone(request: HttpRequest, user: User | AnonymousUser) -> str:
    """Return the IANA zone of `user`, or of the browser without a preference; empty when neither is known."""
    preference = getattr(user, "time_zone", "") or request.COOKIES.get(COOKIE, "")
    return preference if preference in time_zones() else ""


def adopt_time_zone(user: User, name: str) -> None:
    """Store `name` as the user's time zone unless they have one already."""
    if User.objects.filter(pk=user.pk, time_zone="").update(time_zone=name):
        user.time_zone = name


def change_time_zone(user: User, name: str) -> None:
    """Store `name`, an IANA zone, as the user's time zone."""
    user.time_zone = name
    user.save(update_fields=["time_zone"])
