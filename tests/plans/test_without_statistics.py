"""Look-ups of a claim that need no statistics: after a failover, or before the first ANALYZE, they read as few rows."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection, transaction

from accounts.models import User
from tests.plans.conftest import rows_looked_at
from wallet.actions.claim_sql import SKIP_LOCKED, WAIT, Locking, read_allowances
from wallet.assets.claim_rules import CLAIMS_MADE
from wallet.assets.models import CashbackAsset, CreditPool

STATISTICS = {
    "of yesterday": "SELECT 1",
    "none": "DELETE FROM pg_statistic WHERE starelid = 'assets_cashbackasset'::regclass;"
    " UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname LIKE 'asset%'",
    "of an empty table": "DELETE FROM pg_statistic WHERE starelid = 'assets_cashbackasset'::regclass;"
    " UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname LIKE 'asset%'",
}


@pytest.fixture(params=STATISTICS)
def statistics(large: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """Falsify what the planner knows of the credits."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STATISTICS[request.param])
        yield request.param
        transaction.set_rollback(True)


def claims_made(pool_id: UUID, user_id: UUID) -> int:
    """Ask as the trigger does: by a prepared statement whose plan knows no values."""
    statement = CLAIMS_MADE.format(pool="$1", user="$2")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE made (uuid, uuid) AS SELECT {statement}")
        cursor.execute(f"EXECUTE made ('{pool_id}', '{user_id}')")
        made = int(cursor.fetchone()[0])
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT TEXT) EXECUTE made ('{pool_id}', '{user_id}')")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE made")
    assert "asset_claim_slot on assets_cashbackasset" in plan, plan
    assert set(re.findall(r"Rows Removed by \w+: (\d+)", plan)) <= {"1"}, plan
    return made


@pytest.mark.usefixtures("statistics")
def test_the_trigger_reads_one_row_of_a_user_with_thousands_of_claims(heavy: User) -> None:
    pool = CreditPool.objects.all()[3]
    expected = CashbackAsset.objects.filter(pool=pool, claimed_by=heavy).count()
    assert expected > 50

    assert claims_made(pool.pk, heavy.pk) == expected


@pytest.mark.usefixtures("statistics")
@pytest.mark.parametrize("locking", [WAIT, SKIP_LOCKED])
def test_the_allowance_is_read_from_one_row(heavy: User, locking: Locking) -> None:
    pools = CreditPool.objects.all()[:20]
    wanted = [(pool.pk, heavy.pk) for pool in pools]

    assert rows_looked_at(lambda: read_allowances(wanted, locking)) <= len(wanted)


@pytest.mark.usefixtures("statistics")
def test_a_user_without_claims_reads_one_row_of_another_user(operator: User) -> None:
    pool = CreditPool.objects.all()[3]

    made = CashbackAsset.objects.filter(pool=pool, claimed_by=operator).count()

    assert claims_made(pool.pk, operator.pk) == made
    assert claims_made(pool.pk, UUID(int=0)) == 0
    assert claims_made(pool.pk, UUID(int=2**128 - 1)) == 0
