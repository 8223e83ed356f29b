"""The migration that adds the supply counters, on a database with data: forward and back."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from cashback.database import roles
from kernel.uuid7 import uuid7
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import BY_ASSET, run_single_claim
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CreditPool, SupplyDelta
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(*target: str) -> None:
    call_command("migrate", *target, verbosity=0, interactive=False)


@pytest.fixture
def back() -> Iterator[None]:
    """Migrate back to before the supply counters; all migrations are applied again afterwards."""
    try:
        migrate("ledger", "0006")
        migrate("assets", "0004")
        yield
    finally:
        migrate()
        call_command("grant_app_role", stdout=StringIO())  # tables that were made anew have lost their privileges


def open_pool_by_sql() -> CreditPool:
    """Open a pool as the former release did, whose table has fewer columns, and return it."""
    pool = CreditPool(id=uuid7(), name="Diwali", kind="PROMOTION", currency="INR")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO assets_creditpool (id, name, kind, currency, is_active, time_zone)"
            " VALUES (%s, %s, %s, %s, true, 'UTC')",
            [pool.pk, pool.name, pool.kind, pool.currency],
        )
    return pool


def issue_by_sql(pool: CreditPool | None = None) -> Any:
    """Issue a credit as the former release did, whose table has fewer columns, and return its id."""
    asset_id = uuid7()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation)"
            " VALUES (%s, 'Welcome', 100, 'INR', 'AVAILABLE', %s, 1)",
            [asset_id, pool.pk if pool else None],
        )
    return asset_id


def execute(sql: str, asset_id: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [asset_id])


def triggers(state: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = %s", [state])
        return int(cursor.fetchone()[0])


def test_existing_assets_are_in_the_counters_after_migration(back: None, alice: User) -> None:
    pool = open_pool_by_sql()
    taken, ended, gone = (issue_by_sql(pool) for _ in range(3))
    issue_by_sql()
    claim_asset(taken, alice)
    execute("UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s", ended)
    execute("DELETE FROM assets_cashbackasset WHERE id = %s", gone)

    migrate()

    counted = set(SupplyDelta.objects.values_list("pool", "status", "count"))
    assert counted == {(pool.pk, "CLAIMED", 1), (pool.pk, "EXPIRED", 1), (pool.pk, "DELETED", 1), (None, "AVAILABLE", 1)}
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_application_role_claims_and_seals_after_migrating_back(back: None, alice: User) -> None:
    call_command("grant_app_role", stdout=StringIO())
    asset_id = issue_by_sql()
    assert triggers("O") == 0

    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {roles.APP_ROLE}")
    try:
        claimed = run_single_claim(BY_ASSET, ClaimRequest(asset_id, alice))
        sealed = seal_ledger.seal_next()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")

    assert claimed.status_code == 201
    assert sealed is not None
    assert sealed.count == 1
