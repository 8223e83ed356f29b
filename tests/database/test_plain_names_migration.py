"""The migrations to the standard names, on a database with data: forward, back, and forward again."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import pghistory
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from cashback.database import roles
from kernel.uuid7 import uuid7
from tests import former_release
from wallet.actions import edit_asset, issue_assets, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool, Issuance, SupplyDelta
from wallet.ledger.models import Entry, SealedBalance
from wallet.verification.checker import snapshot_connection, verify_everything
from wallet.verification.enforcement import weakened_rules

pytestmark = pytest.mark.django_db(transaction=True)
FORMER_CONTEXTS: list[dict[str, Any]] = [
    {"act": "update", "door": "admin", "email": "ada@example.com"},
    {"act": "expire due", "door": "clock"},
    {"act": "delete", "door": "shell", "before": {"title": "Welcome"}},
    {"act": "update"},
    {"door": "sql", "note": "clock"},
    {"note": "neither"},
]
CONTEXTS = [
    {"action": "update", "channel": "admin", "email": "ada@example.com"},
    {"action": "expire due", "channel": "scheduler"},
    {"action": "delete", "channel": "shell", "before": {"title": "Welcome"}},
    {"action": "update"},
    {"channel": "sql", "note": "clock"},
    {"note": "neither"},
]
FORMER_ISSUANCES = [("api", 4, Decimal(40)), ("clock", 1, Decimal(10)), ("sql", 2, Decimal(20))]
ISSUANCES = [("api", 4, Decimal(40)), ("scheduler", 1, Decimal(10)), ("sql", 2, Decimal(20))]
SUPPLY = {("AVAILABLE", 3, Decimal(30)), ("CLAIMED", 2, Decimal(20)), ("EXPIRED", 1, Decimal(10)), ("DELETED", 1, Decimal(10))}


def migrate(*target: str) -> None:
    call_command("migrate", *target, verbosity=0, interactive=False)


def migrate_back() -> None:
    migrate("ledger", "0009")
    migrate("assets", "0006")


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def issue_by_sql(pool: Any, count: int, channel: str | None) -> list[Any]:
    """Issue credits of 10 INR as the former release did, which named the channel by the setting `cashback.door`."""
    ids = [uuid7() for _ in range(count)]
    with transaction.atomic():
        if channel:
            rows("SELECT set_config('cashback.door', %s, true)", channel)
        rows(
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, created_at)"
            " SELECT unnest(%s::uuid[]), 'Welcome', 10, 'INR', 'AVAILABLE', %s, 1, now()",
            ids,
            pool,
        )
    return ids


def change_by_sql(metadata: dict[str, Any], sql: str, *values: Any) -> None:
    with transaction.atomic(), pghistory.context(**metadata):
        rows(sql, *values)


@pytest.fixture
def former_data(alice: User, bob: User, ada: User) -> Iterator[Any]:
    """A database at the former release with data of each kind; yields the pool's id. All migrations are applied afterwards."""
    try:
        migrate_back()
        pool = uuid7()
        rows(
            "INSERT INTO assets_creditpool (id, name, kind, currency, opens_at, is_active, time_zone)"
            " VALUES (%s, 'Diwali', 'PROMOTION', 'INR', now(), true, 'UTC')",
            pool,
        )
        first, second, changed, deleted = issue_by_sql(pool, 4, "api")
        (expired,) = issue_by_sql(pool, 1, "clock")
        issue_by_sql(pool, 2, None)
        title = "UPDATE assets_cashbackasset SET title = %s WHERE id = %s"
        end = "UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s"
        change_by_sql(FORMER_CONTEXTS[0], title, "Lamp", changed)
        change_by_sql(FORMER_CONTEXTS[1], end, expired)
        change_by_sql(FORMER_CONTEXTS[2], "DELETE FROM assets_cashbackasset WHERE id = %s", deleted)
        for number, context in enumerate(FORMER_CONTEXTS[3:]):
            change_by_sql(context, title, f"Lamp {number}", changed)
        former_release.claim(first, alice.pk)
        assert former_release.seal() == 1
        former_release.claim(second, bob.pk)
        assert contexts() == FORMER_CONTEXTS
        assert rows("SELECT door, count, value FROM assets_issuance ORDER BY id") == FORMER_ISSUANCES
        yield pool
    finally:
        former_release.migrate_to_this_one()


def contexts() -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT metadata::text FROM pghistory_context AS context"
            " JOIN assets_cashbackassetevent ON pgh_context_id = context.id ORDER BY pgh_id"
        )
        return [json.loads(text) for (text,) in cursor.fetchall()]


def assert_guarded() -> None:
    """Assert that every trigger always fires and that the tables which the migration rewrites are append-only again."""
    assert rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'A'") == []
    for attack in ("UPDATE pghistory_context SET metadata = '{}'", "UPDATE assets_issuance SET count = 7"):
        with pytest.raises(IntegrityError, match="append-only"):
            rows(attack)


def become_application() -> None:
    call_command("grant_app_role", stdout=StringIO())
    rows(f"SET ROLE {roles.APP_ROLE}")


def test_existing_rows_are_carried_forward(former_data: Any, alice: User) -> None:
    context_ids = rows("SELECT id, created_at, updated_at FROM pghistory_context ORDER BY id")

    migrate()

    assert contexts() == CONTEXTS
    assert rows("SELECT id, created_at, updated_at FROM pghistory_context ORDER BY id") == context_ids
    assert list(Issuance.objects.order_by("id").values_list("channel", "count", "value")) == ISSUANCES
    assert set(Issuance.objects.values_list("pool", flat=True)) == {former_data}
    supply: dict[str, tuple[int, Decimal]] = {}
    for status, count, value in SupplyDelta.objects.filter(pool=former_data).values_list("status", "count", "value"):
        number, total = supply.get(status, (0, Decimal(0)))
        supply[status] = (number + count, total + value)
    assert {(status, *sums) for status, sums in supply.items()} == SUPPLY
    assert list(SealedBalance.objects.values_list("user", "currency", "amount", "claims")) == [
        (alice.pk, "INR", Decimal(10), 1)
    ]
    assert_guarded()
    assert weakened_rules(connection) == []
    seal_ledger.seal_all()  # the former data is older than a seal may be late, on a busy machine
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_after_the_migration_the_application_role_issues_changes_claims_and_seals(
    former_data: Any, ada: User, bob: User
) -> None:
    migrate()
    pool = CreditPool.objects.get(pk=former_data)

    become_application()
    try:
        newest, other = (issue_assets.issue_asset(ada, pool=pool, title="New", total_value=Decimal(10)) for _ in range(2))
        edit_asset.update_asset(other.pk, ada, title="Newer")
        claim_asset(newest.pk, bob)
        sealed = seal_ledger.seal_all()
    finally:
        rows("RESET ROLE")

    assert [seal.count for seal in sealed] == [2]
    assert contexts()[-1] == {"action": "update", "channel": "shell", "user": str(ada.pk), "email": "ada@example.com"}
    assert Issuance.objects.latest("id").channel == "shell"
    assert [(line["balance"], line["claims"]) for line in Entry.objects.balances_of(bob)] == [(20, 2)]
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_migrating_back_restores_the_former_words_and_rules(
    former_data: Any, issue: Callable[..., CashbackAsset], alice: User, bob: User
) -> None:
    migrate()
    left = issue()

    migrate_back()

    assert contexts() == FORMER_CONTEXTS
    assert rows("SELECT door, count, value FROM assets_issuance ORDER BY id LIMIT 3") == FORMER_ISSUANCES
    assert rows("SELECT status, sum(number)::int FROM assets_supply WHERE pool_id = %s GROUP BY 1 ORDER BY 1", former_data) == [
        ("AVAILABLE", 3),
        ("CLAIMED", 2),
        ("DELETED", 1),
        ("EXPIRED", 1),
    ]
    assert rows("SELECT user_id, amount FROM ledger_subtotal") == [(alice.pk, Decimal(10))]
    assert_guarded()
    rows(f"SET ROLE {roles.APP_ROLE}")
    try:
        former_release.claim(left.pk, bob.pk)
        sealed = former_release.seal()
    finally:
        rows("RESET ROLE")
    assert sealed == 2
    assert rows("SELECT amount FROM ledger_subtotal WHERE user_id = %s", bob.pk) == [(Decimal(110),)]

    migrate()

    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_no_direction_leaves_an_unused_trigger_function(former_data: Any) -> None:
    functions = (
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'pgtrigger%'"
        " AND oid NOT IN (SELECT tgfoid FROM pg_trigger)"
    )
    before = rows(functions)

    migrate()
    after = rows(functions)
    migrate_back()

    assert (before, after, rows(functions)) == ([], [], [])
