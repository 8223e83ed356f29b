"""Claim a credit: bind one asset to one user, once.

A claim on its way: `claim_asset` or `claim_from_pool` → a batcher, in which concurrent claims share one transaction →
`claim_batch` (reserve keys, lock and read, record, store responses) → `claim_decisions` (pure) → `claim_sql`.
"""

from collections.abc import Callable
from functools import cache, partial
from uuid import UUID

from django.db import OperationalError
from prometheus_client import Counter

from accounts.models import User
from kernel.batching import Batcher
from kernel.host_turn import HostTurn
from kernel.metrics import REGISTRY
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
from wallet.actions.claim_decisions import AllInFlight, AssetAlreadyClaimed, ClaimRequest, NotYetClaimable, PoolSoldOut
from wallet.actions.claim_lock import claim_lock
from wallet.actions.open_scheduled import open_credit
from wallet.actions.replenish_pool import replenish_pool
from wallet.assets import claimed_cache
from wallet.ledger.idempotency import IdempotentRequest

MAX_REPLENISHED = 3  # how often a claim has more credits issued when others take them first
CLAIMS = Counter(
    "cashback_claims",
    "Claims by kind (asset or pool) and outcome: claimed, repeated, replayed, error or the code of the refusal.",
    ["kind", "outcome"],
    registry=REGISTRY,
)


def claim_asset(asset_id: UUID, user: User, request: IdempotentRequest | None = None) -> Claim:
    """Claim the asset `asset_id` for `user`; an owner who claims again gets the first claim.

    Raises AssetNotFound, AssetAlreadyClaimed, AssetExpired, NotYetClaimable, PoolClosed, ClaimLimitReached,
    IdempotencyKeyReused, RequestInProgress, Busy. A refusal changes nothing.
    """

    def claim() -> Claim:
        if request is None and claimed_cache.is_claimed_by_other(asset_id, user):
            raise AssetAlreadyClaimed
        with claim_lock(asset_id):
            try:
                return submit_claim(asset_claim_batcher, ClaimRequest(asset_id, user, request))
            except NotYetClaimable:
                if not open_credit(asset_id):
                    raise
            return submit_claim(asset_claim_batcher, ClaimRequest(asset_id, user, request))

    return count_outcome("asset", claim)


def claim_from_pool(pool_id: UUID, user: User, request: IdempotentRequest) -> Claim:
    """Claim the asset of the pool `pool_id` that expires soonest for `user`; `request` makes a retry safe.

    Raises PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached, IdempotencyKeyReused, RequestInProgress, Busy.
    A refusal changes nothing.
    """

    def claim() -> Claim:
        for _attempt in range(MAX_REPLENISHED):
            try:
                return submit_claim(pool_claim_batcher, ClaimRequest(pool_id, user, request))
            except PoolSoldOut as refusal:
                if refusal.is_final:
                    raise
                replenish_pool(pool_id)
        raise AllInFlight  # others took what was opened or issued

    return count_outcome("pool", claim)


def count_outcome(kind: str, claim: Callable[[], Claim]) -> Claim:
    """Return the claim that `claim` makes, and count its outcome, a refusal's code too."""
    outcome = "error"
    try:
        made = claim()
        outcome = outcome_of(made)
        return made
    except Refusal as refusal:
        outcome = refusal.code
        raise
    finally:
        claims_metric(kind, outcome).inc()


def outcome_of(claim: Claim) -> str:
    """Return the label of a claim: its request was answered before, its owner had the credit already, or it is new."""
    if claim.replayed:
        return "replayed"
    return "claimed" if claim.status_code == 201 else "repeated"


@cache
def claims_metric(kind: str, outcome: str) -> Counter:
    """Return the child metric of these labels."""
    return CLAIMS.labels(kind, outcome)


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
    "asset_claims", partial(run_claim_batch, BY_ASSET), partial(run_single_claim, BY_ASSET), turn=HostTurn("asset_claims")
)
pool_claim_batcher: Batcher[ClaimRequest, ClaimOutcome] = Batcher(
    "pool_claims", partial(run_claim_batch, FROM_POOL), partial(run_single_claim, FROM_POOL), turn=HostTurn("pool_claims")
)
