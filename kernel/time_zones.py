"""The names of the IANA time zones."""

from functools import cache
from zoneinfo import available_timezones

# Files of the time-zone database that are no place's zone: the machine's own zone, placeholders, and other forms of the zones.
NOT_ZONES = {"localtime", "posixrules", "Factory"}
OTHER_FORMS = ("posix/", "right/", "SystemV/")


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones. Cached: each call reads the directory of time zones."""
    names = available_timezones() - NOT_ZONES
    return frozenset(name for name in names if not name.startswith(OTHER_FORMS))
