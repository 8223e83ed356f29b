"""Credits that a pool issues itself, in blocks ahead of the claims, as far as its budget goes.

A claim takes a credit that is there, as from any other pool, so that no claim waits for a counter of the budget. The next block
is issued by the scheduler when few are left, and by a claim that found none. PostgreSQL refuses what exceeds the budget
(supply_triggers.supply_within_budget).
"""

from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q

from kernel.sql import POOL_BUDGET_LOCK
from kernel.transactions import atomic_with_retry
from wallet.actions.issue_assets import issue_many
from wallet.assets.claim_rules import CommittedValue
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.querysets import OPEN
from wallet.assets.triggers import later_sql

BLOCK = 1_000  # credits issued at once
FEW = 250  # the scheduler issues a block when fewer are left
# The key lock first, as whoever issues by hand takes them. Then nobody else issues in the pool until the commit.
LOCK_POOL = """
SELECT id FROM assets_creditpool WHERE id = %(pool)s AND budget IS NOT NULL AND archived_at IS NULL
    AND opens_at <= clock_timestamp() FOR KEY SHARE
"""
LOCK_BUDGET = f"SELECT pg_advisory_xact_lock({POOL_BUDGET_LOCK.format(pool='%(pool)s::uuid')})"
END_OF_LIFETIME = f"SELECT {later_sql('clock_timestamp()', '%(lifetime)s::interval', '%(zone)s')}"


@atomic_with_retry(idempotent=True)
def refill_pool(pool_id: UUID) -> bool:
    """Issue the next credits of a pool with a budget, in a transaction of its own; return whether a claim may find one now."""
    return issue_next_credits(pool_id) > 0


def issue_next_credits(pool_id: UUID, few: int = 1) -> int:
    """Issue BLOCK credits, or `few` if that is more, in a pool with a budget that has opened and fewer than `few` claimable
    credits. Before it opens their lifetime would run down.

    Within the caller's transaction. Returns how many can be claimed afterwards, counted up to `few`; 0 without a budget. Waits
    for others who issue there.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_POOL, {"pool": pool_id})
        if cursor.fetchone() is None:
            return 0
        cursor.execute(LOCK_BUDGET, {"pool": pool_id})
    claimable = CashbackAsset.objects.claimable().filter(pool=pool_id)[:few].count()
    if claimable >= few:
        return claimable
    pools = CreditPool.objects.filter(pk=pool_id)
    pool = pools.annotate(committed=CommittedValue()).get()
    count = min(max(BLOCK, few - claimable), affordable(pool))
    if count:
        expires_at = end_of_lifetime(pool)
        issue_many(None, pool, count=count, title=pool.credit_title, total_value=pool.credit_value, expires_at=expires_at)
    return claimable + count


def affordable(pool: CreditPool) -> int:
    """Return how many credits the budget still allows, of a pool annotated with `committed`."""
    committed: Decimal = pool.committed  # type: ignore[attr-defined]
    assert pool.budget is not None
    assert pool.credit_value is not None
    return max(0, int((pool.budget - committed) // pool.credit_value))


def end_of_lifetime(pool: CreditPool) -> object:
    """Return when a credit expires that is issued now, by the database's clock; None for no expiry."""
    if pool.credit_lifetime is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(END_OF_LIFETIME, {"lifetime": pool.credit_lifetime, "zone": pool.time_zone})
        return cursor.fetchone()[0]


def refill_pools() -> int:
    """Refill every open pool with a budget and few credits left; return how many pools were looked at."""
    found = list(CreditPool.objects.filter(OPEN, Q(budget__isnull=False)).values_list("pk", flat=True))
    for pool_id in found:
        refill_ahead(pool_id)
    return len(found)


@atomic_with_retry(idempotent=True)
def refill_ahead(pool_id: UUID) -> None:
    """Issue the next block of the pool when few credits are left."""
    issue_next_credits(pool_id, FEW)
