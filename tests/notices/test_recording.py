"""Notices are found from the ledger: each thing once, in commit order, whoever looks and however often."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from tests.concurrency import at_once
from tests.money.conftest import end_credit
from tests.notices.conftest import end_at, told
from wallet.actions.record_notices import record_notices
from wallet.actions.refund_payment import refund_payment
from wallet.ledger.models import Entry, Lot, Movement
from wallet.notices.models import Notice, NoticeCursor
from wallet.queries.notices import preview_of_notices

pytestmark = pytest.mark.django_db(transaction=True)
Grant = Callable[..., Entry]
Credit = Callable[..., Lot]
DAY = timedelta(days=1)


def move_mornings_back(days: int = 1) -> None:
    """Let the digests have been looked for the last time so long ago."""
    NoticeCursor.objects.filter(source="mornings").update(at=timezone.now() - days * DAY)


def midnight_in(days: int) -> datetime:
    """Return the beginning of the day in UTC that many days from the day of the latest digest."""
    latest = timezone.now() - timedelta(hours=8)
    return datetime.combine(latest.date(), time.min, UTC) + days * DAY


def test_a_grant_is_noticed_once_with_its_claim(grant: Grant, alice: User) -> None:
    entry = grant(alice, total_value=Decimal("50.00"), title="Sorry for the wait")

    assert [record_notices(), record_notices()] == [1, 0]
    (notice,) = told("granted")
    assert (notice.user_id, notice.key, notice.state) == (alice.pk, str(entry.pk), "WAITING")
    assert notice.payload == {
        "claim": str(entry.pk),
        "title": "Sorry for the wait",
        "amount": "50.00",
        "currency": "INR",
        "spendable_from": None,
        "spendable_until": None,
        "service": None,
    }


def test_what_people_claim_themselves_is_no_news(grant: Grant, credit: Credit) -> None:
    credit("100")

    assert record_notices() == 0


def test_grants_before_the_first_look_are_no_news(grant: Grant, alice: User) -> None:
    grant(alice)
    NoticeCursor.objects.all().delete()

    assert [record_notices(), record_notices()] == [0, 0]


def test_a_grant_of_a_transaction_that_commits_late_is_noticed(grant: Grant, alice: User, elsewhere: Any) -> None:
    elsewhere.execute("SELECT pg_current_xact_id()")
    grant(alice)
    assert record_notices() == 0  # below the open transaction nothing is closed

    elsewhere.rollback()
    assert record_notices() == 1


def test_a_refund_is_noticed_with_what_is_left_of_it(
    credit: Credit, spend: Callable[..., Any], shop: Service, alice: User
) -> None:
    lot = credit("100")
    record_notices()
    payment = UUID(spend("80", reference="order-7").body["id"])
    refund_payment(payment, reference="return-1", reason="returned", amount=Decimal(30), service=shop)
    end_credit(lot)
    refund_payment(payment, reference="return-2", reason="returned", amount=Decimal(20), service=shop)

    assert record_notices() == 2
    keys = [str(Movement.objects.get(reference=name).pk) for name in ("return-1", "return-2")]
    first, second = sorted(told("refunded"), key=lambda notice: keys.index(notice.key))
    assert first.payload["order"] == "order-7"
    assert (first.payload["amount"], first.payload["left"], first.payload["service"]) == ("30.00", "30.00", "Shop")
    assert (second.payload["amount"], second.payload["left"]) == ("20.00", "0.00")


@pytest.mark.parametrize(("days", "is_told"), [(1, True), (2, False), (6, False), (7, True), (8, False)])
def test_credit_is_told_seven_days_and_one_day_before_its_last_day(credit: Credit, days: int, is_told: bool) -> None:
    record_notices()
    end_at(credit("100"), midnight_in(days + 1))  # the first instant after its last day
    move_mornings_back()
    record_notices()

    assert bool(told("ending_soon")) is is_told


def test_all_that_ends_soon_is_one_digest_a_day(credit: Credit, alice: User, bob: User) -> None:
    record_notices()
    end_at(credit("100", title="Tomorrow"), midnight_in(2))
    end_at(credit("20.50", title="In a week"), midnight_in(8))
    end_at(credit("7", user=bob), midnight_in(8))
    move_mornings_back()

    assert [record_notices(), record_notices()] == [2, 0]
    digest = told("ending_soon")[0] if told("ending_soon")[0].user_id == alice.pk else told("ending_soon")[1]
    assert digest.key == midnight_in(0).date().isoformat()
    assert digest.payload["totals"] == [{"currency": "INR", "amount": "120.50"}]
    assert [line["title"] for line in digest.payload["credits"]] == ["Tomorrow", "In a week"]


def test_more_credit_on_the_same_day_is_no_second_digest(credit: Credit) -> None:
    record_notices()
    end_at(credit("100"), midnight_in(2))
    move_mornings_back()
    record_notices()
    end_at(credit("5"), midnight_in(2))
    move_mornings_back()
    record_notices()

    assert len(told("ending_soon")) == 1


def test_credit_that_is_used_up_or_of_a_closed_account_is_not_told(
    credit: Credit, spend: Callable[..., Any], bob: User
) -> None:
    record_notices()
    end_at(credit("100"), midnight_in(2))
    spend("100")
    end_at(credit("5", user=bob), midnight_in(2))
    User.objects.filter(pk=bob.pk).update(is_active=False)
    move_mornings_back()

    assert record_notices() == 0


def test_the_day_is_the_one_of_the_persons_time_zone(credit: Credit, alice: User) -> None:
    record_notices()
    User.objects.filter(pk=alice.pk).update(time_zone="Pacific/Kiritimati")  # 14 hours before UTC
    latest = (timezone.now() + timedelta(hours=14) - timedelta(hours=8)).date()
    end_at(credit("100"), datetime.combine(latest, time.min, UTC) + 2 * DAY - timedelta(hours=14))
    move_mornings_back()
    record_notices()

    (digest,) = told("ending_soon")
    assert digest.key == latest.isoformat()


def test_many_people_are_told_in_batches(
    credit: Credit, make_users: Callable[[int], list[User]], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_notices()
    for user in make_users(5):
        end_at(credit("1", user=user), midnight_in(2))
    move_mornings_back()
    monkeypatch.setattr("wallet.actions.record_notices.MAX_DIGESTS", 2)

    assert record_notices() == 5


def test_a_range_of_the_ledger_ends_with_a_whole_transaction(
    grant: Grant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        grant(alice)
    monkeypatch.setattr("wallet.actions.record_notices.MAX_RANGE", 2)

    assert record_notices() == 5


def test_two_schedulers_at_once_write_each_notice_once(grant: Grant, credit: Credit, alice: User) -> None:
    for _ in range(20):
        grant(alice)
    end_at(credit("100"), midnight_in(2))
    move_mornings_back()

    counts = at_once(lambda _: record_notices(), range(4))
    record_notices()

    assert Notice.objects.count() == 21
    assert all(isinstance(count, int) for count in counts), counts


def test_the_same_thing_cannot_be_noticed_twice(grant: Grant, alice: User) -> None:
    grant(alice)
    record_notices()
    (notice,) = told("granted")

    with pytest.raises(IntegrityError, match="notice_once"), transaction.atomic():
        Notice.objects.create(user_id=notice.user_id, kind=notice.kind, key=notice.key, payload={})


def test_a_restored_database_with_lower_transaction_ids_goes_on(grant: Grant, alice: User) -> None:
    NoticeCursor.objects.filter(source="ledger").update(xid=2**50)
    record_notices()
    grant(alice)

    assert record_notices() == 1


def test_the_preview_counts_and_writes_nothing(grant: Grant, credit: Credit, alice: User) -> None:
    grant(alice)
    end_at(credit("100"), midnight_in(2))
    move_mornings_back()

    assert preview_of_notices() == {"ending_soon": 1, "granted": 1, "refunded": 0, "waiting": 0}
    assert Notice.objects.count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notices_noticecursor WHERE xid IS NOT NULL")
        assert cursor.fetchone() == (1,)
