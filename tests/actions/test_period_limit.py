"""Limits per user and day, week or month: exactly so many in each period of the pool's time zone."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import User
from kernel.transactions import violated_constraint
from tests.concurrency import at_once
from tests.history import backdate
from wallet.actions import edit_pool
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import FROM_POOL, Claim, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest, PeriodLimitReached
from wallet.actions.grant_batch import GrantOrder, grant_lines
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_lines import GrantLine
from wallet.actions.issue_assets import issue_many
from wallet.assets.claim_rules import NEXT_PERIOD, PERIOD_IS_FULL
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Fill = Callable[..., CreditPool]


@pytest.fixture
def fill(open_pool: Callable[..., CreditPool]) -> Fill:
    """Open a pool with 20 credits."""

    def make(**fields: Any) -> CreditPool:
        pool = open_pool(**fields)
        issue_many(None, pool, count=20, title="Daily", total_value=100)
        return pool

    return make


def claim(pool: CreditPool, user: User) -> Claim:
    return claim_from_pool(pool.pk, user, IdempotentRequest(user, "claim", uuid4().hex, fingerprint("x")))


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def sql(statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone() if cursor.description else None


def period_start(zone: str, period: str = "DAY") -> datetime:
    found: datetime = sql(f"SELECT date_trunc('{period}', now() AT TIME ZONE '{zone}') AT TIME ZONE '{zone}'")[0]
    return found


def far_from_midnight() -> str:
    """Return a time zone in which it is between 6 and 18 o'clock, so that no test crosses midnight."""
    return next(zone for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles") if 6 <= datetime.now(ZoneInfo(zone)).hour < 18)


def test_a_day_gives_so_many_and_tells_when_the_next_is_possible(fill: Fill, alice: User, bob: User) -> None:
    zone = far_from_midnight()
    pool = fill(period_limit=2, time_zone=zone)
    claim(pool, alice), claim(pool, alice)

    with pytest.raises(PeriodLimitReached) as refused:
        claim(pool, alice)
    assert refused.value.next_claim_at == period_start(zone) + timedelta(days=1)
    assert refused.value.members == {"next_claim_at": f"{refused.value.next_claim_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    assert refused.value.members["next_claim_at"] in refused.value.message
    claim(pool, bob)
    assert Entry.objects.count() == 3


@pytest.mark.parametrize("period", ["DAY", "WEEK", "MONTH"])
def test_claims_of_the_period_before_do_not_count_and_the_first_instant_does(fill: Fill, alice: User, period: str) -> None:
    zone = far_from_midnight()
    pool = fill(period_limit=1, limit_period=period, time_zone=zone)
    start, tiny = period_start(zone, period), timedelta(microseconds=1)

    first = claim(pool, alice)
    backdate(first, entry_time(first) - start + tiny)
    second = claim(pool, alice)
    backdate(second, entry_time(second) - start)

    with pytest.raises(PeriodLimitReached):
        claim(pool, alice)
    assert Entry.objects.count() == 2


def entry_time(made: Claim) -> datetime:
    return Entry.objects.get(pk=made.receipt["id"]).claimed_at


# The period of a claim at {at} is full if a claim was made at `before`.
BOUNDARIES = {
    "Kolkata's midnight, the microsecond before": (
        "Asia/Kolkata",
        "DAY",
        "2026-03-01T18:29:59.999999Z",
        "2026-03-01T18:30Z",
        False,
    ),
    "Kolkata's midnight itself": ("Asia/Kolkata", "DAY", "2026-03-01T18:30Z", "2026-03-02T18:29:59.999999Z", True),
    "a day of 23 hours, its first instant": ("Europe/Berlin", "DAY", "2026-03-28T23:00Z", "2026-03-29T21:59:59Z", True),
    "a day of 23 hours is over after them": ("Europe/Berlin", "DAY", "2026-03-28T23:00Z", "2026-03-29T22:00Z", False),
    "a day of 25 hours, its last instant": ("Europe/Berlin", "DAY", "2026-10-24T22:00Z", "2026-10-25T22:59:59Z", True),
    "a day of 25 hours is over after them": ("Europe/Berlin", "DAY", "2026-10-24T22:00Z", "2026-10-25T23:00Z", False),
    "the hour that comes twice": ("Europe/Berlin", "DAY", "2026-10-25T00:30Z", "2026-10-25T01:30Z", True),
    # In Havana the clocks go back from 1:00 to 0:00: the first hour of the day comes twice.
    "the first hour comes twice": ("America/Havana", "DAY", "2026-11-01T04:30Z", "2026-11-01T05:10Z", True),
    "before the first hour": ("America/Havana", "DAY", "2026-11-01T03:59:59Z", "2026-11-01T04:00Z", False),
    # In Beirut the clocks go forward from 0:00 to 1:00: the day begins at 1:00.
    "a day without midnight": ("Asia/Beirut", "DAY", "2026-03-28T21:59:59Z", "2026-03-28T22:00Z", False),
    "a day without midnight, within": ("Asia/Beirut", "DAY", "2026-03-28T22:00Z", "2026-03-29T20:59:59Z", True),
    "a week begins on Monday": ("UTC", "WEEK", "2026-03-01T23:59:59Z", "2026-03-02T00:00Z", False),
    "a week ends with Sunday": ("UTC", "WEEK", "2026-03-02T00:00Z", "2026-03-08T23:59:59Z", True),
    "a month": ("UTC", "MONTH", "2026-02-01T00:00Z", "2026-02-28T23:59:59Z", True),
    "the next month": ("UTC", "MONTH", "2026-02-28T23:59:59Z", "2026-03-01T00:00Z", False),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_periods_are_those_of_the_zones_clocks(fill: Fill, alice: User, name: str) -> None:
    zone, period, before, at, is_full = BOUNDARIES[name]
    pool = fill(time_zone=zone)
    made = claim(pool, alice)
    backdate(made, entry_time(made) - datetime.fromisoformat(before))
    places = {
        "pool": f"'{pool.pk}'::uuid",
        "user": f"'{alice.pk}'::uuid",
        "slot": "2",
        "limit": "1",
        "period": f"'{period}'",
        "zone": f"'{zone}'",
        "at": f"'{at}'::timestamptz",
    }

    assert sql(f"SELECT {PERIOD_IS_FULL.format(**places)}") == (is_full,)
    begins = sql(f"SELECT {NEXT_PERIOD.format(**places)}")[0]
    local, next_day = begins.astimezone(ZoneInfo(zone)), datetime.fromisoformat(at).astimezone(ZoneInfo(zone))
    assert begins > datetime.fromisoformat(at)
    if period == "DAY":
        assert (local.date(), local.minute) == (next_day.date() + timedelta(days=1), 0)


def test_the_limit_per_user_still_counts_all_claims(fill: Fill, alice: User) -> None:
    pool = fill(period_limit=1, per_user_limit=2, time_zone=far_from_midnight())
    backdate(claim(pool, alice), timedelta(days=2))
    backdate(claim(pool, alice), timedelta(days=1))

    with pytest.raises(Exception, match=r"limit per user\. See"):
        claim(pool, alice)
    assert Entry.objects.count() == 2


def test_a_limit_set_later_counts_the_claims_of_today(fill: Fill, alice: User, ada: User) -> None:
    pool = fill(time_zone=far_from_midnight())
    made = [claim(pool, alice) for _ in range(3)]
    edit_pool.update_pool(pool.pk, ada, period_limit=2)

    with pytest.raises(PeriodLimitReached):
        claim(pool, alice)
    backdate(made[0], timedelta(days=2))
    backdate(made[1], timedelta(days=2))
    claim(pool, alice)
    assert Entry.objects.count() == 4


def test_two_hundred_concurrent_claims_get_exactly_the_limit(fill: Fill, alice: User, bob: User) -> None:
    pool = fill(period_limit=3, time_zone=far_from_midnight())
    credits = list(CashbackAsset.objects.filter(pool=pool).order_by("id"))

    def try_claim(number: int) -> Claim:
        user = (alice, bob)[number % 2]
        return claim(pool, user) if number % 3 else claim_asset(credits[number % 20].pk, user)

    outcomes = at_once(try_claim, range(80))

    assert Counter(Entry.objects.values_list("user", flat=True)) == {alice.pk: 3, bob.pk: 3}
    kinds = {type(outcome).__name__ for outcome in outcomes}
    assert kinds <= {"Claim", "PeriodLimitReached", "AssetAlreadyClaimed", "Busy", "AllInFlight"}, kinds
    assert violations() == []


def test_a_batch_gives_one_user_no_more_than_the_limit(fill: Fill, alice: User) -> None:
    pool = fill(period_limit=2, time_zone=far_from_midnight())
    requests = [
        ClaimRequest(pool.pk, alice, IdempotentRequest(alice, "claim", uuid4().hex, fingerprint("x"))) for _ in range(4)
    ]

    outcomes = run_claim_batch(FROM_POOL, requests)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Claim", "Claim", "PeriodLimitReached", "PeriodLimitReached"]


def test_grants_keep_the_limit_too(fill: Fill, alice: User, ada: User) -> None:
    pool = fill(period_limit=2, time_zone=far_from_midnight())
    grant_credit(alice, pool.pk, reference="a", reason="gift", actor=ada)

    results = grant_lines(GrantOrder(pool.pk, "gift"), [GrantLine("alice@example.com", str(n)) for n in range(3)])

    assert [result.outcome.value for result in results] == ["granted", "refused", "refused"]
    assert isinstance(results[2].refusal, PeriodLimitReached)
    with pytest.raises(PeriodLimitReached):
        grant_credit(alice, pool.pk, reference="b", reason="gift", actor=ada)


def test_manual_sql_keeps_the_limit(fill: Fill, alice: User) -> None:
    pool = fill(period_limit=1, time_zone=far_from_midnight())
    claim(pool, alice)

    for statement in (
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = (SELECT id FROM"
        " assets_cashbackasset WHERE status = 'AVAILABLE' LIMIT 1)",
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, claimed_at = '2001-01-01', claim_slot = 9"
        " WHERE status = 'AVAILABLE'",
        "SET LOCAL TimeZone = 'Pacific/Kiritimati'; UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s"
        " WHERE status = 'AVAILABLE'",
    ):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            sql(statement, alice.pk)
        assert violated_constraint(refused.value) == "pool_period_limit"
    with pytest.raises(IntegrityError, match="pool_period_limit_positive"):
        sql("UPDATE assets_creditpool SET period_limit = 0")
    with pytest.raises(IntegrityError, match="pool_limit_period_known"):
        sql("UPDATE assets_creditpool SET limit_period = 'HOUR'")


def test_one_statement_gives_one_user_no_more_than_the_limit(fill: Fill, alice: User) -> None:
    pool = fill(period_limit=2, time_zone=far_from_midnight())

    with pytest.raises(IntegrityError, match="all the claims the pool allows in this period"):
        sql("UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE pool_id = %s", alice.pk, pool.pk)


def test_the_checker_names_a_claim_above_the_limit(fill: Fill, alice: User) -> None:
    pool = fill(time_zone=far_from_midnight())
    claim(pool, alice), claim(pool, alice)
    assert violations() == []

    sql("ALTER TABLE assets_creditpoolevent DISABLE TRIGGER USER")
    sql("UPDATE assets_creditpoolevent SET period_limit = 1")  # as if the limit had been there
    sql("SELECT public.harden_triggers()")

    assert any("is claim number 2" in violation for violation in violations())


def test_lists_and_pages_say_that_nothing_can_be_claimed_until_the_next_period(
    fill: Fill, alice: User, bob: User, client: Client
) -> None:
    pool = fill(period_limit=1, time_zone=far_from_midnight())
    claim(pool, alice)

    can_claim = {
        user.email: CreditPool.objects.with_can_claim(CashbackAsset.objects.all(), user).get(pk=pool.pk).can_claim
        for user in (alice, bob)
    }

    assert can_claim == {"alice@example.com": False, "bob@example.com": True}
    client.force_login(alice)
    assert "1 per day" in client.get(f"/pools/{pool.pk}/").content.decode()
