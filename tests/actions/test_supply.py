"""The supply counters equal a count of all assets after any operation."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from cashback.database import roles
from kernel.refusals import Refusal
from wallet.actions import edit_asset, expire_assets, issue_assets, recreate_asset, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import process_asset_claims
from wallet.actions.claim_decisions import ClaimRequest
from wallet.actions.claim_sql import WAIT
from wallet.assets.models import CashbackAsset, CreditPool, SupplyDelta
from wallet.queries import analytics, supply
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


@pytest.fixture
def pool(open_pool: OpenPool) -> CreditPool:
    return open_pool()


def counters() -> dict[Any, Any]:
    return supply.supply_by(Q(), "currency", "pool", "generation")


def counted() -> dict[Any, Any]:
    """Count every credit, in Python."""
    assets: Any = CashbackAsset.objects.with_current_status()  # the plugin does not know the annotation
    rows: list[tuple[Any, ...]] = list(assets.values_list("currency", "pool", "generation", "current_status", "total_value"))
    deleted: Any = CashbackAsset.pgh_event_model.objects.filter(pgh_label="delete")  # type: ignore[attr-defined]
    rows += [(*row, "DELETED", value) for *row, value in deleted.values_list("currency", "pool", "generation", "total_value")]
    found: dict[Any, Any] = {}
    for currency, pool, generation, status, value in rows:
        states = found.setdefault((currency, pool, generation), {})
        number, total = states.get(status.lower(), (0, Decimal(0)))
        states[status.lower()] = (number + 1, total + value)
    return found


def wait_until_nothing_is_about_to_end() -> None:
    while CashbackAsset.objects.filter(expires_at__gt=Now()).exists():
        time.sleep(0.01)


def test_counters_equal_a_count_after_random_operations(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ada: User
) -> None:
    dice = random.Random(20)  # noqa: S311  (the same each time)
    pools = [None, open_pool(name="one"), open_pool(name="other")]

    def soon() -> datetime | None:
        return dice.choice([None, timezone.now() + timedelta(seconds=0.2)])

    def some() -> CashbackAsset:
        return dice.choice(CashbackAsset.objects.filter(status="AVAILABLE"))

    def recreate() -> None:
        if ended := CashbackAsset.objects.filter(status="EXPIRED", children=None).first():
            recreate_asset.recreate_asset(ended.pk, ada)

    acts: list[Callable[[], Any]] = [
        lambda: issue(pool=dice.choice(pools), currency="INR", total_value=Decimal(dice.randint(1, 900)), expires_at=soon()),
        lambda: issue(currency="JPY", total_value=Decimal(5)),
        lambda: claim_asset(some().pk, dice.choice([alice, bob])),
        lambda: edit_asset.expire_asset(some().pk, ada),
        lambda: edit_asset.delete_asset(some().pk, ada),
        lambda: edit_asset.update_asset(some().pk, ada, total_value=Decimal(dice.randint(1, 900))),
        lambda: edit_asset.update_asset(some().pk, ada, title="another"),
        recreate,
        seal_ledger.seal_all,
        expire_assets.expire_due,
    ]
    for _ in range(12):
        acts[0](), acts[1]()
    for number in range(120):
        try:
            dice.choice(acts)()
        except (Refusal, IndexError):
            continue
        if number % 10 == 0:
            wait_until_nothing_is_about_to_end()
            assert counters() == counted()

    wait_until_nothing_is_about_to_end()
    assert counters() == counted()
    assert {"available", "claimed", "expired", "deleted"} <= {state for states in counters().values() for state in states}
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_due_assets_are_expired_in_the_supply_before_the_sweep(issue: Issue, pool: CreditPool) -> None:
    issue(pool=pool)
    ending = issue(pool=pool, expires_at=timezone.now() + timedelta(seconds=0.2))
    before = counters()
    while timezone.now() <= ending.expires_at:  # type: ignore[operator]
        pass

    assert before == {("INR", pool.pk, 1): {"available": (2, Decimal(200))}}
    assert counters() == {("INR", pool.pk, 1): {"available": (1, Decimal(100)), "expired": (1, Decimal(100))}}
    assert CreditPool.objects.with_supply().get(pk=pool.pk).available == 1


def test_rolled_back_changes_do_not_reach_the_counters(issue: Issue, alice: User) -> None:
    asset = issue()
    before = counters()

    with transaction.atomic():
        process_asset_claims([ClaimRequest(asset.pk, alice)], WAIT)
        assert counters() != before
        transaction.set_rollback(True)

    assert counters() == before


def test_claims_do_not_wait_for_counter_rows(
    issue: Issue, pool: CreditPool, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    one, other = issue(pool=pool), issue(pool=pool)
    elsewhere.execute(
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = %s", [alice.pk, one.pk]
    )
    held = elsewhere.execute("SELECT count FROM assets_supplydelta ORDER BY id FOR UPDATE").fetchall()

    assert len(held) > 2
    assert claim_asset(other.pk, User.objects.create_user("quick@example.com")).status_code == 201


def test_seal_merges_the_rows_of_each_group(pool: CreditPool, ada: User, alice: User) -> None:
    issue_assets.issue_many(ada, pool, count=5, title="Bonus", total_value=Decimal(2))
    for asset in pool.assets.all()[:3]:
        claim_asset(asset.pk, alice)
    before = counters()
    many = SupplyDelta.objects.count()
    seal_ledger.seal_all()

    assert many == 1 + 2 * 3
    assert set(SupplyDelta.objects.values_list("status", "count", "value")) == {("AVAILABLE", 2, 4), ("CLAIMED", 3, 6)}
    assert counters() == before


def test_empty_group_has_no_row(pool: CreditPool, issue: Issue, alice: User) -> None:
    claim_asset(issue(pool=pool).pk, alice)
    seal_ledger.seal_all()

    assert list(SupplyDelta.objects.values_list("status", "count")) == [("CLAIMED", 1)]


def test_supply_report_is_one_query(pool: CreditPool, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    issue(pool=pool)

    with django_assert_num_queries(1):
        assert analytics.supply_states() == {("INR", pool.pk, 1): {"available": (1, Decimal(100))}}


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE assets_supplydelta SET count = count + 1 WHERE status = 'CLAIMED'",
        "UPDATE assets_supplydelta SET value = 7",
        "UPDATE assets_supplydelta SET pool_id = NULL",
        "DELETE FROM assets_supplydelta WHERE status = 'AVAILABLE'",
    ],
)
def test_checker_finds_a_wrong_supply_counter(pool: CreditPool, issue: Issue, alice: User, wrong: str) -> None:
    claim_asset(issue(pool=pool).pk, alice), issue(pool=pool)
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []
    with connection.cursor() as cursor:
        cursor.execute(wrong)

    with snapshot_connection() as reader:
        found = verify_everything(reader)

    assert {violation.invariant for violation in found} == {"I5"}
    assert all("by the counters" in violation.sentence for violation in found)


def test_application_role_may_only_read_the_supply_counters(pool: CreditPool, issue: Issue) -> None:
    issue(pool=pool)
    call_command("grant_app_role", stdout=StringIO())

    for attack in (
        "INSERT INTO assets_supplydelta (currency, generation, status, count, value) VALUES ('INR', 1, 'CLAIMED', 1, 1)",
        "UPDATE assets_supplydelta SET count = 0",
        "DELETE FROM assets_supplydelta",
        "TRUNCATE assets_supplydelta",
    ):
        with pytest.raises(Exception, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {roles.APP_ROLE}")
            cursor.execute(attack)
