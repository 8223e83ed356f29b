"""Credits that start day by day: never claimable early, by the database's clock, and claimable when their day has come."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from kernel.transactions import violated_constraint
from tests.concurrency import at_once
from wallet import tasks
from wallet.actions import edit_asset, edit_pool, open_scheduled
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import NotYetClaimable, PoolSoldOut, SoldOutUntil
from wallet.actions.grant_batch import GrantOrder, grant_lines
from wallet.actions.grant_lines import GrantLine, Outcome
from wallet.actions.issue_assets import daily_starts, issue_many
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Drip = Callable[..., CreditPool]


@pytest.fixture
def drip(open_pool: Callable[..., CreditPool]) -> Drip:
    """Open a pool with seven credits, three a day."""

    def make(count: int = 7, per_day: int = 3, **fields: Any) -> CreditPool:
        pool = open_pool(**fields)
        with transaction.atomic():
            issue_many(None, pool, count=count, per_day=per_day, title="Daily", total_value=Decimal(100))
        return pool

    return make


def claim(pool: CreditPool, user: User) -> Claim:
    return claim_from_pool(pool.pk, user, IdempotentRequest(user, "claim", uuid4().hex, fingerprint("x")))


def states(pool: CreditPool) -> dict[str, int]:
    return dict(Counter(CashbackAsset.objects.filter(pool=pool).values_list("status", flat=True)))


def sql(statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone() if cursor.description else None


def let_a_day_pass(pool: CreditPool, by: timedelta = timedelta(days=1)) -> None:
    """Move the starts of the pool's credits into the past, as the owner with the rules lifted."""
    sql("ALTER TABLE assets_cashbackasset DISABLE TRIGGER USER")
    sql("UPDATE assets_cashbackasset SET claimable_from = claimable_from - %s::interval WHERE pool_id = %s", str(by), pool.pk)
    sql("SELECT public.harden_triggers()")


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def test_so_many_start_on_each_day_at_midnight_of_the_pools_zone(drip: Drip) -> None:
    pool = drip(time_zone="Asia/Kolkata")
    today = timezone.now().astimezone(ZoneInfo("Asia/Kolkata")).date()

    starts = Counter(CashbackAsset.objects.filter(pool=pool).values_list("status", "claimable_from"))

    def midnight(days: int) -> datetime:
        day = today + timedelta(days=days)
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Kolkata"))

    assert starts == {("AVAILABLE", None): 3, ("SCHEDULED", midnight(1)): 3, ("SCHEDULED", midnight(2)): 1}


def test_the_days_of_a_zone_with_summer_time_begin_at_its_midnights(open_pool: Callable[..., CreditPool]) -> None:
    pool, year = open_pool(time_zone="Europe/Berlin"), timezone.now().year + 1
    last_sunday = max(date(year, 3, day) for day in range(25, 32) if date(year, 3, day).weekday() == 6)

    starts = [start for start, _ in daily_starts(pool, 3, 1, last_sunday)]

    assert [start and start.astimezone(ZoneInfo("UTC")).hour for start in starts] == [23, 22, 22]


def test_todays_are_claimed_and_tomorrows_are_not(drip: Drip, alice: User) -> None:
    pool = drip()
    tomorrow = CashbackAsset.objects.filter(pool=pool, status="SCHEDULED").order_by("claimable_from", "id").first()
    assert tomorrow is not None
    for _ in range(3):
        claim(pool, alice)

    with pytest.raises(SoldOutUntil) as sold_out:
        claim(pool, alice)
    with pytest.raises(NotYetClaimable) as early:
        claim_asset(tomorrow.pk, alice)
    assert sold_out.value.next_claim_at == early.value.next_claim_at == tomorrow.claimable_from
    assert tasks.open_scheduled_credits() == 0
    assert states(pool) == {"CLAIMED": 3, "SCHEDULED": 4}
    assert violations() == []


def test_a_claim_opens_the_credits_of_a_day_that_has_come(drip: Drip, alice: User) -> None:
    pool = drip()
    for _ in range(3):
        claim(pool, alice)
    let_a_day_pass(pool)

    for _ in range(3):
        claim(pool, alice)

    with pytest.raises(SoldOutUntil):
        claim(pool, alice)
    let_a_day_pass(pool)
    (last,) = CashbackAsset.objects.filter(pool=pool, status="SCHEDULED")
    assert claim_asset(last.pk, alice).status_code == 201
    with pytest.raises(PoolSoldOut) as ended:
        claim(pool, alice)
    assert type(ended.value) is PoolSoldOut
    assert states(pool) == {"CLAIMED": 7}
    assert violations() == []


def test_the_scheduler_opens_what_is_due(drip: Drip, alice: User) -> None:
    pool = drip()
    let_a_day_pass(pool)

    def shown() -> tuple[int, bool]:
        found = CreditPool.objects.with_supply().with_can_claim(CashbackAsset.objects.all(), alice).get(pk=pool.pk)
        return found.available, found.can_claim

    before = shown()
    assert tasks.open_scheduled_credits() == 3
    assert (before, shown()) == ((3, True), (6, True))
    assert CashbackAsset.pgh_event_model.objects.count() == 0  # type: ignore[attr-defined]
    assert violations() == []


def test_grants_open_what_is_due_and_nothing_else(drip: Drip, alice: User) -> None:
    pool = drip()
    let_a_day_pass(pool)

    results = grant_lines(GrantOrder(pool.pk, "gift"), [GrantLine("alice@example.com", str(n)) for n in range(7)])

    assert Counter(result.outcome.value for result in results) == {"granted": 6, "refused": 1}
    assert states(pool) == {"CLAIMED": 6, "SCHEDULED": 1}


def test_forty_claimers_on_a_new_day_get_exactly_its_credits(drip: Drip, make_users: Callable[[int], list[User]]) -> None:
    pool, users = drip(count=25, per_day=10), make_users(40)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM assets_cashbackasset WHERE status = 'AVAILABLE'")
    let_a_day_pass(pool)

    outcomes = at_once(lambda user: claim(pool, user), users)

    assert Counter(type(outcome).__name__ for outcome in outcomes if type(outcome).__name__ != "AllInFlight")["Claim"] == 10
    assert Entry.objects.count() == 10
    assert states(pool) == {"CLAIMED": 10, "SCHEDULED": 5}
    assert violations() == []


def test_manual_sql_opens_and_claims_nothing_early(drip: Drip, alice: User) -> None:
    pool = drip()
    rows = list(CashbackAsset.objects.order_by("pk").values())
    where = "WHERE status = 'SCHEDULED'"
    for statement, name in (
        (f"UPDATE assets_cashbackasset SET status = 'AVAILABLE' {where}", "asset_not_early"),
        (f"UPDATE assets_cashbackasset SET status = 'AVAILABLE', claimable_from = NULL {where}", "asset_not_early"),
        (f"UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = '{alice.pk}' {where}", "asset_scheduled"),
        (f"UPDATE assets_cashbackasset SET claimable_from = now() - interval '1 day' {where}", "asset_scheduled"),
        (f"UPDATE assets_cashbackasset SET total_value = 1 {where}", "asset_scheduled"),
        (
            "UPDATE assets_cashbackasset SET status = 'SCHEDULED', claimable_from = now() WHERE status = 'AVAILABLE'",
            "asset_scheduled",
        ),
        ("UPDATE assets_cashbackasset SET claimable_from = now() WHERE status = 'AVAILABLE'", "asset_same"),
        (
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, claimable_from)"
            " VALUES (gen_random_uuid(), 'x', 1, 'INR', 'AVAILABLE', 1, now() + interval '1 day')",
            "asset_born_available",
        ),
        (
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation)"
            " VALUES (gen_random_uuid(), 'x', 1, 'INR', 'SCHEDULED', 1)",
            "asset_born_available",
        ),
        (
            "INSERT INTO assets_cashbackasset"
            " (id, title, total_value, currency, status, generation, claimable_from, expires_at)"
            " VALUES (gen_random_uuid(), 'x', 1, 'INR', 'SCHEDULED', 1, now(), now())",
            "asset_starts_before_expiry",
        ),
    ):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            sql(statement)
        assert violated_constraint(refused.value) == name, statement
    assert list(CashbackAsset.objects.order_by("pk").values()) == rows
    assert states(pool) == {"AVAILABLE": 3, "SCHEDULED": 4}


def test_what_opens_keeps_its_value(drip: Drip) -> None:
    pool = drip()
    let_a_day_pass(pool)

    with pytest.raises(IntegrityError, match="changes nothing but the status"):
        sql("UPDATE assets_cashbackasset SET status = 'AVAILABLE', total_value = 1 WHERE claimable_from < now()")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"per_day": 0}, "per_day"),
        ({"per_day": 1, "count": 1_101}, "per_day"),
        ({"starts_on": date(2020, 1, 1)}, "starts_on"),
        ({"starts_on": date(2099, 1, 1)}, "starts_on"),
        ({"per_day": 1, "expires_at": timezone.now() + timedelta(days=2)}, "expires_at"),
    ],
)
def test_days_that_cannot_be_are_refused(open_pool: Callable[..., CreditPool], fields: dict[str, Any], field: str) -> None:
    pool = open_pool()
    with pytest.raises(ValidationError) as refused:
        issue_many(None, pool, title="Daily", total_value=Decimal(100), **{"count": 5} | fields)
    assert list(refused.value.message_dict) == [field]


def test_an_operator_expires_and_deletes_what_has_not_started(drip: Drip, ada: User) -> None:
    pool = drip()
    first, second, *_ = CashbackAsset.objects.filter(pool=pool, status="SCHEDULED").values_list("pk", flat=True)

    edit_asset.expire_asset(UUID(str(first)), ada)
    edit_asset.delete_asset(UUID(str(second)), ada)

    assert states(pool) == {"AVAILABLE": 3, "SCHEDULED": 2, "EXPIRED": 1}
    assert violations() == []


def test_claims_that_come_together_on_a_new_day_open_one_block(
    drip: Drip, make_users: Callable[[int], list[User]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_scheduled.open_next_credits, "__defaults__", (5,))
    pool = drip(count=40, per_day=20)
    CashbackAsset.objects.filter(pool=pool, status="AVAILABLE").delete()
    let_a_day_pass(pool)

    at_once(lambda _: open_scheduled.open_for_claims(pool.pk), make_users(6))

    assert states(pool) == {"AVAILABLE": 5, "SCHEDULED": 15}


def test_a_bulk_grant_opens_what_is_due_and_issues_the_rest(drip: Drip, make_users: Callable[[int], list[User]]) -> None:
    pool = drip(count=4, per_day=2)
    edit_pool.update_pool(pool.pk, None, budget=Decimal(500), credit_title="Daily", credit_value=Decimal(100))
    CashbackAsset.objects.filter(pool=pool, status="AVAILABLE").delete()
    let_a_day_pass(pool)

    order, people = GrantOrder(pool.pk, "goodwill"), make_users(5)
    results = grant_lines(order, [GrantLine(str(user.pk), f"line-{n}") for n, user in enumerate(people)])

    assert Counter(result.outcome for result in results) == {Outcome.GRANTED: 5}
