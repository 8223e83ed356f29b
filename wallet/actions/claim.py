"""Claim a credit: bind one asset to one user, once.

A claim on its way: `claim_asset` or `claim_from_pool` → a batcher, in which concurrent claims share one transaction →
`claim_batch` (reserve keys, lock and read, record, store responses) → `claim_decisions` (pure) → `claim_sql`.
"""

from functools import partial
from uuid import UUID

from django.db import OperationalError

from accounts.models import User
from kernel.batching import Batcher
from kernel.refusals import Refusal
from kernel.transactions import Busy
from wallet.actions.claim_batch import (
    BY_ASSET,
    FROM_POOL,
    Claim,
    ClaimOutcome,
    run_claim_batch,
    run_single_claim,
)
from wallet.actions.claim_decisions import AssetAlreadyClaimed, ClaimRequest
from wallet.actions.claim_lock import claim_lock
from wallet.assets import claimed_cache
from wallet.ledger.idempotency import IdempotentRequest


def claim_asset(asset_id: UUID, user: User, request: IdempotentRequest | None = None) -> Claim:
    """Claim the asset `asset_id` for `user`; an owner who claims again gets the first claim.

    Raises AssetNotFound, AssetAlreadyClaimed, AssetExpired, PoolClosed, ClaimLimitReached, IdempotencyKeyReused,
    RequestInProgress, Busy. A refusal changes nothing.
    """
    if request is None and claimed_cache.is_claimed_by_other(asset_id, user):
        raise AssetAlreadyClaimed
    with claim_lock(asset_id):
        return submit_claim(asset_claim_batcher, ClaimRequest(asset_id, user, request))


def claim_from_pool(pool_id: UUID, user: User, request: IdempotentRequest) -> Claim:
    """Claim the asset of the pool `pool_id` that expires soonest for `user`; `request` makes a retry safe.

    Raises PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached, IdempotencyKeyReused, RequestInProgress, Busy.
    A refusal changes nothing.
    """
    return submit_claim(pool_claim_batcher, ClaimRequest(pool_id, user, request))


def submit_claim(batcher: Batcher[ClaimRequest, ClaimOutcome], request: ClaimRequest) -> Claim:
    """Submit a request to the batcher and return the claim; raise its refusal, or Busy when no connection was free."""
    try:
        outcome = batcher.submit(request)
    except OperationalError as error:
        raise Busy from error
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


asset_claim_batcher: Batcher[ClaimRequest, ClaimOutcome] = Batcher(
    "asset_claims", partial(run_claim_batch, BY_ASSET), partial(run_single_claim, BY_ASSET)
)
pool_claim_batcher: Batcher[ClaimRequest, ClaimOutcome] = Batcher(
    "pool_claims", partial(run_claim_batch, FROM_POOL), partial(run_single_claim, FROM_POOL)
)
