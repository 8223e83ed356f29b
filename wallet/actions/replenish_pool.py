"""What a claim does when its pool has no credit left: open the next scheduled ones, or issue the next ones on demand."""

from uuid import UUID

from wallet.actions.claim_decisions import nothing_left
from wallet.actions.claim_sql import read_pool_supply
from wallet.actions.issue_on_demand import issue_next_credits, refill_pool
from wallet.actions.open_scheduled import open_for_claims, open_next_credits


def replenish_pool(pool_id: UUID) -> None:
    """Return when a claim may find a credit now, in transactions of its own; raise PoolSoldOut if there will be none."""
    supply = read_pool_supply(pool_id)  # others may have opened or issued credits since the claim looked
    if supply.some_left:
        return
    if supply.may_open:
        open_for_claims(pool_id)
        return
    if supply.may_issue and refill_pool(pool_id):
        return
    raise nothing_left(supply._replace(may_issue=False))


def replenish_for_grants(pool_id: UUID, wanted: int) -> bool:
    """Open or issue up to `wanted` credits in the caller's transaction; return whether a grant may find one now."""
    supply = read_pool_supply(pool_id)
    opened = open_next_credits(pool_id, wanted) if supply.may_open else 0
    issued = issue_next_credits(pool_id, few=wanted) if supply.may_issue and opened < wanted else 0
    return bool(opened or issued)
