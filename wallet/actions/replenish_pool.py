"""What a claim does when its pool has no credit left: open the next scheduled ones, or issue the next ones on demand."""

from typing import Any
from uuid import UUID

from django.db import connection

from wallet.actions.claim_decisions import PoolSoldOut, SoldOutUntil
from wallet.actions.issue_on_demand import issue_next_credits, refill_pool
from wallet.actions.open_scheduled import open_in_pool, open_next_credits

# One trip for a pool that has neither, as most have. Others may have opened or issued credits since the claim looked.
AHEAD = """
SELECT pool.budget IS NOT NULL, (
    SELECT claimable_from FROM assets_cashbackasset WHERE pool_id = pool.id AND status = 'SCHEDULED'
    ORDER BY claimable_from LIMIT 1
) AS next_start, statement_timestamp(), EXISTS (
    SELECT FROM assets_cashbackasset WHERE pool_id = pool.id AND status = 'AVAILABLE'
    AND (expires_at IS NULL OR expires_at > statement_timestamp())
)
FROM assets_creditpool AS pool WHERE pool.id = %s
"""


def replenish_pool(pool_id: UUID) -> None:
    """Return when a claim may find a credit now, in transactions of its own; raise PoolSoldOut if there will be none."""
    has_budget, next_start, now, has_claimable = supply_ahead(pool_id)
    if has_claimable:
        return
    if next_start is not None and next_start <= now:
        open_in_pool(pool_id)
        return
    if has_budget and refill_pool(pool_id):
        return
    raise SoldOutUntil(next_start) if next_start is not None else PoolSoldOut()


def replenish_for_grants(pool_id: UUID, wanted: int) -> bool:
    """Open or issue up to `wanted` credits in the caller's transaction; return whether a grant may find one now."""
    has_budget, next_start, now, _has_claimable = supply_ahead(pool_id)
    if next_start is not None and next_start <= now:
        open_next_credits(pool_id, wanted)
        return True
    return bool(has_budget and issue_next_credits(pool_id, few=wanted))


def supply_ahead(pool_id: UUID) -> tuple[bool, Any, Any, bool]:
    """Return whether the pool has a budget, when its next scheduled credit starts (None: there is none), the time now, and
    whether it has claimable credits.
    """
    with connection.cursor() as cursor:
        cursor.execute(AHEAD, [pool_id])
        found: tuple[bool, Any, Any, bool] = cursor.fetchone() or (False, None, None, False)
        return found
