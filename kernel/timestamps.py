"""Timestamps as text: one function per format."""

from datetime import UTC, datetime
from typing import overload


@overload
def format_timestamp(moment: datetime) -> str: ...
@overload
def format_timestamp(moment: None) -> None: ...
def format_timestamp(moment: datetime | None) -> str | None:
    """Return an aware datetime in RFC 3339, in UTC: with Z, and with microseconds unless they are zero. None stays None."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def format_minute(moment: datetime) -> str:
    """Return an aware datetime as the console shows it: in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def format_second(moment: datetime) -> str:
    """Return an aware datetime as the console shows it where seconds matter: in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
