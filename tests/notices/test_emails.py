"""What the emails say: in two languages, in the person's time zone, with headers to unsubscribe."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts.models import User
from wallet.notices.models import Notice, NoticeKind
from wallet.notices.notice_email import build_notice_email, last_time_in_words
from wallet.notices.unsubscribe_links import unsubscribe_link

GRANTED = {
    "claim": "0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11",
    "title": "Sorry & thanks <3",
    "amount": "123456.50",
    "currency": "INR",
    "spendable_from": None,
    "spendable_until": "2027-03-31T18:30:00Z",
    "service": None,
}
REFUNDED = {
    "movement": "m",
    "payment": "p",
    "service": "Corner shop",
    "order": "A-17",
    "amount": "30.00",
    "left": "30.00",
    "currency": "INR",
}
ENDING: dict[str, Any] = {
    "day": "2027-03-24",
    "totals": [{"currency": "INR", "amount": "75.00"}, {"currency": "USD", "amount": "5.00"}],
    "count": 23,
    "credits": [
        {"claim": "c", "title": "Diwali", "amount": "75.00", "currency": "INR", "spendable_until": "2027-03-31T18:30:00Z"},
    ],
}


@pytest.fixture
def meera() -> User:
    return User(email="meera@example.com", time_zone="Asia/Kolkata", language="en")


def build(user: User, kind: str, payload: dict[str, Any], **changes: Any) -> Any:
    return build_notice_email(Notice(user=user, kind=kind, key="k", payload=payload | changes), user)


def test_a_grant_in_english_writes_amounts_and_days_as_the_person_reads_them(meera: User) -> None:
    message = build(meera, "granted", GRANTED)

    assert message.subject == "You received ₹1,23,456.50 of credit"
    assert "₹1,23,456.50 was added to your wallet: Sorry & thanks <3.\nUse it until 31 Mar 2027.\n" in message.body
    assert "http://127.0.0.1:8000/dashboard/" in message.body


def test_the_same_in_hindi(meera: User) -> None:
    meera.language = "hi"
    message = build(meera, "granted", GRANTED, service="Corner shop")

    assert message.subject == "आपको ₹1,23,456.50 का क्रेडिट मिला"
    assert "Corner shop की ओर से आपके वॉलेट में ₹1,23,456.50 जोड़े गए" in message.body
    assert "31 मार्च 2027 तक" in message.body


@pytest.mark.parametrize("language", ["en", "hi"])
@pytest.mark.parametrize(("kind", "payload"), [("granted", GRANTED), ("refunded", REFUNDED), ("ending_soon", ENDING)])
def test_every_kind_has_a_template_in_every_language(meera: User, language: str, kind: str, payload: dict[str, Any]) -> None:
    meera.language = language
    message = build(meera, kind, payload)

    assert message.subject
    assert "\n" not in message.subject
    assert unsubscribe_link(meera.pk, kind) in message.body
    assert "{" not in message.subject + message.body


def test_a_digest_lists_the_first_twenty_credits(meera: User) -> None:
    message = build(meera, "ending_soon", ENDING, credits=ENDING["credits"] * 23)

    assert message.body.count("Diwali") == 20
    assert "* and 3 more" in message.body


def test_a_digest_has_its_totals_and_says_how_many_more_there_are(meera: User) -> None:
    message = build(meera, "ending_soon", ENDING)

    assert message.subject == "₹75.00 + US$5.00 of your credit ends soon" or "$5.00" in message.subject
    assert "* ₹75.00 · Diwali · until 31 Mar 2027\n* and 22 more" in message.body


@pytest.mark.parametrize(
    ("left", "words"),
    [("30.00", None), ("10.00", "You can use ₹10.00 of it"), ("0.00", "none of it can be used again")],
)
def test_a_refund_says_what_of_it_can_be_used(meera: User, left: str, words: str | None) -> None:
    body = build(meera, "refunded", REFUNDED, left=left).body

    assert "₹30.00 came back to your wallet from order A-17 at Corner shop." in body
    assert words in body if words else "can use" not in body


def test_headers_let_a_mail_program_unsubscribe(meera: User) -> None:
    message = build(meera, NoticeKind.REFUNDED, REFUNDED).message()

    assert message["List-Unsubscribe"] == f"<{unsubscribe_link(meera.pk, 'refunded')}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    ("end", "zone", "words"),
    [
        ("2027-03-31T18:30:00", "Asia/Kolkata", "31 Mar 2027"),  # midnight: the last day is the one before
        ("2027-03-31T18:30:00", "UTC", "31 Mar 2027, 6:30 pm UTC"),
        ("2027-03-31T18:30:00", "Europe/Paris", "31 Mar 2027, 8:30 pm"),
    ],
)
def test_an_end_is_written_as_its_last_day_or_with_its_time(end: str, zone: str, words: str) -> None:
    moment = datetime.fromisoformat(end).replace(tzinfo=UTC)

    assert last_time_in_words(moment, "en", ZoneInfo(zone)).replace("\N{NARROW NO-BREAK SPACE}", " ") == words


def test_a_person_without_language_and_time_zone_gets_english_and_utc() -> None:
    message = build(User(email="new@example.com"), "granted", GRANTED)

    assert message.subject.startswith("You received")
    assert "31 Mar 2027, 6:30" in message.body
