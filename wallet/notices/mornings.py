"""When "ends soon" is told: at 8 in the morning where the person is, 7 days and 1 day before a credit's last day."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS_BEFORE = (1, 7)
MORNING = time(8)
MOST_DAYS = 7  # that one digest makes up for, after the scheduler stood still
ONE_DAY = timedelta(days=1)
Window = tuple[datetime, datetime]  # after the first time, up to and with the second


@dataclass(frozen=True)
class Digest:
    """The digests of one day in some time zones.

    Arguments:
        day: the day there.
        zones: IANA names, the empty one for people whose zone is not known: they have UTC.
        windows: credits that end within one of them are in the digest.
    """

    day: date
    zones: tuple[str, ...]
    windows: tuple[Window, ...]


def due_digests(after: datetime, until: datetime, zones: Iterable[str]) -> list[Digest]:
    """Return the digests whose morning is later than `after` and not later than `until`; one for each zone at most."""
    grouped: dict[tuple[date, tuple[Window, ...]], list[str]] = defaultdict(list)
    for name in zones:
        zone = ZoneInfo(name or "UTC")
        last = last_morning(until, zone)
        first = max(last_morning(after, zone) + ONE_DAY, last - (MOST_DAYS - 1) * ONE_DAY)
        if first <= last:
            grouped[last, windows_of_days(first, last, zone)].append(name)
    return [Digest(day, tuple(names), windows) for (day, windows), names in grouped.items()]


def last_morning(moment: datetime, zone: ZoneInfo) -> date:
    """Return the day of the latest morning at or before a moment."""
    local = moment.astimezone(zone)
    return local.date() if local.time() >= MORNING else local.date() - ONE_DAY


def windows_of_days(first: date, last: date, zone: ZoneInfo) -> tuple[Window, ...]:
    """Return when the credits end that are told on these days. A credit that ends at midnight has its last day before."""
    return tuple((midnight(first, days, zone), midnight(last, days + 1, zone)) for days in DAYS_BEFORE)


def midnight(day: date, days: int, zone: ZoneInfo) -> datetime:
    """Return the beginning of the day that many days later."""
    return datetime.combine(day + days * ONE_DAY, time.min, zone)
