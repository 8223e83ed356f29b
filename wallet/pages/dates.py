"""Dates and times as the pages write them, in the current time zone: "31 Mar 2027", "31 Mar 2027, 6:30 pm"."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date as babel_date
from babel.dates import format_time as babel_time
from babel.dates import get_timezone_name
from django.utils import timezone
from django.utils.translation import get_language

DAY, DAY_IN_YEAR, CLOCK = "d MMM y", "d MMM", "h:mm a"


def locale() -> str:
    """Return the Babel locale of the active language."""
    return "hi" if get_language() == "hi" else "en"


def format_day(day: date) -> str:
    """Return a day: "31 Mar 2027". A timestamp must be converted by `local_day` first."""
    return babel_date(day, DAY, locale())


def format_short_day(day: date) -> str:
    """Return a day without its year: "31 Mar"."""
    return babel_date(day, DAY_IN_YEAR, locale())


def local_day(moment: datetime) -> date:
    """Return the day of a timestamp in the current time zone."""
    return timezone.localtime(moment).date()


def format_moment(moment: datetime) -> str:
    """Return a timestamp in the current time zone: "31 Mar 2027, 6:30 pm", followed by UTC where that is the zone."""
    local = timezone.localtime(moment)
    clock = babel_time(local.time(), CLOCK, locale=locale()).lower()
    suffix = " UTC" if timezone.get_current_timezone_name() == "UTC" else ""
    return f"{format_day(local.date())}, {clock}{suffix}"


def last_day(end: datetime, time_zone: str) -> date | None:
    """Return the last day before an exclusive end that is at midnight in the IANA zone `time_zone`, else None."""
    local = end.astimezone(ZoneInfo(time_zone))
    return local.date() - timedelta(days=1) if local.time() == time.min else None


def zone_name() -> str:
    """Return the name of the current time zone in the active language, e.g. "India Standard Time", or its IANA name."""
    name = timezone.get_current_timezone_name()
    is_place = "/" in name and not name.startswith("Etc/")
    return get_timezone_name(timezone.localtime(), locale=locale()) if is_place else name
