"""Timestamps as text."""

from datetime import UTC, datetime, timedelta, timezone

from kernel.timestamps import format_minute, format_second, format_timestamp

KOLKATA = timezone(timedelta(hours=5, minutes=30))
MOMENT = datetime(2027, 4, 1, 0, 0, 7, 120_000, KOLKATA)


def test_a_timestamp_is_written_in_utc_with_z() -> None:
    assert format_timestamp(MOMENT) == "2027-03-31T18:30:07.120000Z"


def test_a_full_second_has_no_fraction() -> None:
    assert format_timestamp(datetime(2027, 3, 31, 18, 30, tzinfo=UTC)) == "2027-03-31T18:30:00Z"


def test_no_timestamp_stays_none() -> None:
    assert format_timestamp(None) is None


def test_the_console_shows_utc_to_the_minute_or_the_second() -> None:
    assert (format_minute(MOMENT), format_second(MOMENT)) == ("2027-03-31 18:30", "2027-03-31 18:30:07")
