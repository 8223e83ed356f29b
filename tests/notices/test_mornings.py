"""Which day's digests are due, and what ends within them. Pure functions, as a table."""

from datetime import UTC, date, datetime

import pytest

from wallet.notices.mornings import due_digests

KOLKATA, NEW_YORK = "Asia/Kolkata", "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "after", "until", "day"),
    [
        ("", "2027-03-01T07:59:00Z", "2027-03-01T08:00:00Z", date(2027, 3, 1)),
        ("", "2027-03-01T07:58:00Z", "2027-03-01T07:59:59Z", None),  # not yet morning
        ("", "2027-03-01T08:00:00Z", "2027-03-01T23:59:00Z", None),  # it was already
        (KOLKATA, "2027-03-01T02:29:00Z", "2027-03-01T02:30:00Z", date(2027, 3, 1)),
        (NEW_YORK, "2027-03-01T12:59:00Z", "2027-03-01T13:00:00Z", date(2027, 3, 1)),
        (NEW_YORK, "2027-03-14T11:59:00Z", "2027-03-14T12:00:00Z", date(2027, 3, 14)),  # clocks went forward in the night
        ("Pacific/Kiritimati", "2027-03-01T17:59:00Z", "2027-03-01T18:00:00Z", date(2027, 3, 2)),
    ],
)
def test_a_digest_is_due_at_eight_in_the_morning_of_the_zone(zone: str, after: str, until: str, day: date | None) -> None:
    digests = due_digests(at(after), at(until), {zone})

    assert [digest.day for digest in digests] == ([day] if day else [])


def test_its_windows_are_the_last_days_of_tomorrow_and_of_the_day_in_a_week() -> None:
    (digest,) = due_digests(at("2027-03-01T02:29:00Z"), at("2027-03-01T02:30:00Z"), {KOLKATA})

    assert [(start.astimezone(UTC), end.astimezone(UTC)) for start, end in digest.windows] == [
        (at("2027-03-01T18:30:00Z"), at("2027-03-02T18:30:00Z")),
        (at("2027-03-07T18:30:00Z"), at("2027-03-08T18:30:00Z")),
    ]


def test_after_days_without_a_scheduler_one_digest_makes_up_for_them() -> None:
    (digest,) = due_digests(at("2027-03-01T08:00:00Z"), at("2027-03-04T09:00:00Z"), {""})

    assert digest.day == date(2027, 3, 4)
    assert [(start.day, end.day) for start, end in digest.windows] == [(3, 6), (9, 12)]


def test_after_a_long_stop_nothing_is_looked_for_that_has_ended_long_ago() -> None:
    (digest,) = due_digests(at("2026-01-01T08:00:00Z"), at("2027-03-10T09:00:00Z"), {""})

    assert [(start.day, end.day) for start, end in digest.windows] == [(5, 12), (11, 18)]


def test_zones_with_the_same_windows_share_a_digest() -> None:
    digests = due_digests(at("2027-03-01T00:00:00Z"), at("2027-03-02T00:00:00Z"), {"", "Africa/Abidjan", KOLKATA})

    assert sorted(sorted(digest.zones) for digest in digests) == [["", "Africa/Abidjan"], [KOLKATA]]
