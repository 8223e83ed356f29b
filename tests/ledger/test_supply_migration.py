"""The migration that adds the supply counters, on a database with data: forward and back."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from cashback.database import roles
from kernel.uuid7 import uuid7
from tests import former_release
from wallet.actions import seal_ledger
from wallet.assets.models import SupplyDelta
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
        former_release.migrate_to_this_one()


def triggers(state: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = %s", [state])
        return int(cursor.fetchone()[0])


def test_existing_assets_are_in_the_counters_after_migration(back: None, alice: User) -> None:
    pool = uuid7()
    former_release.rows(
        "INSERT INTO assets_creditpool (id, name, kind, currency, opens_at, is_active, time_zone)"
        " VALUES (%s, 'Diwali', 'PROMOTION', 'INR', now(), true, 'UTC')",
        pool,
    )
    taken, ended, gone = (former_release.issue(pool) for _ in range(3))
    former_release.issue()
    former_release.claim(taken, alice.pk)
    former_release.rows("UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s", ended)
    former_release.rows("DELETE FROM assets_cashbackasset WHERE id = %s", gone)

    migrate()

    counted = set(SupplyDelta.objects.values_list("pool", "status", "count"))
    assert counted == {(pool, "CLAIMED", 1), (pool, "EXPIRED", 1), (pool, "DELETED", 1), (None, "AVAILABLE", 1)}
    seal_ledger.seal_all()  # the way back may take longer than a claim may wait for its seal
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_application_role_claims_and_seals_after_migrating_back(back: None, alice: User) -> None:
    asset = former_release.issue()
    assert triggers("O") == 0

    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {roles.APP_ROLE}")
    try:
        former_release.claim(asset, alice.pk)
        sealed = former_release.seal()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")

    assert sealed == 1
