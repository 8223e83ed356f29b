"""Wallets with credits for measurements: claims made in bulk under the rules' own triggers, which open the lots."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.models import User
from wallet.actions import edit_pool
from wallet.assets.models import CreditPool, PoolKind

BATCH = 20_000  # claims a transaction: deferred triggers remember each row until the commit
# The users by number, for the statements below and for pgbench.
PEOPLE = """
DROP TABLE IF EXISTS bench_payer;
CREATE TABLE bench_payer AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM accounts_user WHERE id = ANY(%s);
ALTER TABLE bench_payer ADD PRIMARY KEY (n);
ANALYZE bench_payer
"""
ISSUED = """
INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, created_at)
SELECT uuidv7(), 'To spend', %(value)s, 'INR', 'AVAILABLE', %(pool)s, 1, now() FROM generate_series(1, %(count)s)
"""
CLAIMED = """
WITH credit AS (
    SELECT id, row_number() OVER () - 1 AS n FROM assets_cashbackasset WHERE pool_id = %(pool)s AND status = 'AVAILABLE'
), claimed AS (
    UPDATE assets_cashbackasset AS asset SET status = 'CLAIMED', claimed_by_id = payer.id
    FROM credit JOIN bench_payer AS payer ON payer.n = (credit.n + %(first)s) %% (SELECT count(*) FROM bench_payer)
    WHERE asset.id = credit.id RETURNING asset.*
)
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id, spendable_from, spendable_until)
SELECT uuidv7(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id, spendable_from, spendable_until
FROM claimed
"""


def create_payers(count: int, name: str = "payer") -> list[UUID]:
    """Create users and number them in the table bench_payer."""
    users = User.objects.bulk_create((User(email=f"{name}{n}@example.com") for n in range(count)), batch_size=5_000)
    number_payers(user.pk for user in users)
    return [user.pk for user in users]


def number_payers(users: Iterable[UUID]) -> None:
    """Number these users in the table bench_payer: the next credits are theirs."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in PEOPLE.split(";"):
            cursor.execute(statement, [list(users)] if "%s" in statement else None)


def open_payable_pool(name: str, **policies: Any) -> CreditPool:
    """Open a pool whose credits are to be spent."""
    return edit_pool.open_pool(None, name=name, kind=PoolKind.PROMOTION, currency="INR", **policies)


def fill_wallets(pool: CreditPool, credits_: int, value: int) -> None:
    """Have the numbered users claim so many new credits of the pool together, taking turns; analyze the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'")
        for first in range(0, credits_, BATCH):
            values: dict[str, Any] = {"pool": pool.pk, "value": value, "count": min(BATCH, credits_ - first), "first": first}
            with transaction.atomic():
                cursor.execute(ISSUED, values)
                cursor.execute(CLAIMED, values)
        cursor.execute("VACUUM (ANALYZE) assets_cashbackasset, ledger_entry, ledger_lot")
    connection.close()
