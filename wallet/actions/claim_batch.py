"""Claims in one transaction: reserve keys, lock and read, decide, record, store responses.

A single claim is a batch of one that waits for locks. A larger batch never waits for another transaction's lock: what would
have to wait is retried individually.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from kernel.batching import RetryIndividually
from kernel.refusals import Refusal
from kernel.transactions import Busy, atomic_with_retry, violated_constraint, violation_detail
from wallet.actions import claim_sql
from wallet.actions.claim_decisions import (
    AllInFlight,
    AssetAlreadyClaimed,
    Assignment,
    ClaimLimitReached,
    ClaimRequest,
    NeverSpendable,
    NotYetClaimable,
    PeriodLimitReached,
    PoolClosed,
    admit_pool_claims,
    decide_asset_claims,
    refuse_unserved,
)
from wallet.actions.claim_sql import SKIP_LOCKED, WAIT, Locking
from wallet.assets import claimed_cache
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, RequestInProgress, StoredResponse
from wallet.ledger.models import Entry

# The refusal for each constraint by which PostgreSQL rejects a claim.
REFUSAL_BY_CONSTRAINT: dict[str, type[Refusal]] = {
    "asset_claimed_before_expiry": AssetExpired,
    "asset_spendable_for_a_while": NeverSpendable,
    "pool_open": PoolClosed,
    "pool_grants_only": PoolClosed,
    "pool_claim_limit": ClaimLimitReached,
    "entry_request_key": IdempotencyKeyReused,
}
PERIOD_LIMIT = "pool_period_limit"  # its error says when the next period begins
# Outcomes that only a claim which waits for locks can be sure of.
UNSURE_WITHOUT_WAITING = (Busy, RequestInProgress)


@dataclass(frozen=True)
class Claim:
    """A successful claim.

    `receipt` is the claim in JSON types (Entry.receipt). `status_code` is 201 for a new claim, and 200 for the first claim of
    an owner who claims again. `replayed` is True when the response to this request was stored before.
    """

    receipt: dict[str, Any]
    status_code: int = 201
    replayed: bool = False


ClaimOutcome = Claim | Refusal
ClaimResults = dict[ClaimRequest, Claim | Refusal | RetryIndividually]


@dataclass(frozen=True)
class ClaimKind:
    """The differences between claims by asset id and claims of any asset of a pool.

    Arguments:
        process: processes requests within the caller's transaction.
        pool_lookup: the lookup of CreditPool that finds the pool of a `target_id`.
        not_found: the refusal for a target that the user may not see.
    """

    process: Callable[[Sequence[ClaimRequest], Locking], ClaimResults]
    pool_lookup: str
    not_found: type[Refusal]


def run_claim_batch(kind: ClaimKind, requests: Sequence[ClaimRequest]) -> list[Claim | Refusal | RetryIndividually]:
    """Process the claims in one transaction that waits for no lock; return an outcome for each, in their order."""
    with transaction.atomic(durable=True):
        results = kind.process(requests, SKIP_LOCKED)
        results |= {r: RetryIndividually() for r, outcome in results.items() if isinstance(outcome, UNSURE_WITHOUT_WAITING)}
        refused = [request for request in requests if not isinstance(results[request], Claim)]
        if len(refused) == len(requests):
            transaction.set_rollback(True)
        else:
            idempotency.release_keys([request.request for request in refused if request.request])
    remember_claimed(results)
    return [results[request] for request in requests]


def run_single_claim(kind: ClaimKind, request: ClaimRequest) -> Claim:
    """Process one claim in a transaction of its own that waits for locks; raise its refusal, which rolls everything back."""
    try:
        return commit_or_refuse(kind, request)
    except AssetAlreadyClaimed as refusal:
        remember_claimed({request: refusal})
        raise
    except (AssetExpired, NotYetClaimable, PoolClosed) as refusal:
        # The triggers do not distinguish hidden pools, so they are looked up after such a refusal.
        hidden = CreditPool.objects.hidden().filter(**{kind.pool_lookup: request.target_id})
        if request.user.is_admin or not hidden.exists():
            raise
        raise kind.not_found from refusal


def commit_or_refuse(kind: ClaimKind, request: ClaimRequest) -> Claim:
    """Return the claim; raise its refusal, also if PostgreSQL refused the commit."""
    try:
        return commit_single_claim(kind, request)
    except IntegrityError as error:
        if refusal := claim_refusal(error):
            raise refusal from error
        raise


@atomic_with_retry(idempotent=True)
def commit_single_claim(kind: ClaimKind, request: ClaimRequest) -> Claim:
    """Return the claim; raise its refusal, so that the transaction is rolled back."""
    outcome = kind.process([request], WAIT)[request]
    if isinstance(outcome, Claim):
        return outcome
    if isinstance(outcome, RetryIndividually):
        raise kind.not_found  # this claim waited for every lock, so what it did not find does not exist
    raise outcome


def remember_claimed(results: ClaimResults) -> None:
    """Cache the owners of assets that were found claimed, so that the next claim of them needs no query."""
    for outcome in results.values():
        if isinstance(outcome, AssetAlreadyClaimed) and outcome.asset is not None:
            claimed_cache.remember_owner(outcome.asset)


def process_asset_claims(requests: Sequence[ClaimRequest], locking: Locking) -> ClaimResults:
    """Process claims by asset id within the caller's transaction."""
    results, unanswered = reserve_keys_and_replay(requests, locking)
    assets, allowances = claim_sql.lock_requested_assets([(r.target_id, r.user.pk) for r in unanswered], locking)
    decision = decide_asset_claims(unanswered, assets, allowances)
    results |= decision.refused
    results |= return_first_claims(decision.repeated)
    return results | record_claims(decision.assignments)


def process_pool_claims(requests: Sequence[ClaimRequest], locking: Locking) -> ClaimResults:
    """Process claims of any asset of a pool within the caller's transaction."""
    results, unanswered = reserve_keys_and_replay(requests, locking)
    allowances = claim_sql.read_allowances([(r.target_id, r.user.pk) for r in unanswered], locking)
    admitted, refused = admit_pool_claims(unanswered, allowances)
    assignments: list[Assignment] = []
    for pool_id in sorted({request.target_id for request in unanswered}):
        in_pool = [request for request in admitted if request.target_id == pool_id]
        limited = [r for r, why in refused.items() if r.target_id == pool_id and isinstance(why, ClaimLimitReached)]
        assets = claim_sql.lock_pool_assets(pool_id, len(in_pool))
        assignments += zip(in_pool, assets, strict=False)
        unserved = in_pool[len(assets) :]
        if unserved or limited:
            refused |= refuse_unserved(unserved, limited, claim_sql.read_pool_supply(pool_id, besides=assets))
    try:
        return results | refused | record_claims(assignments)
    except AssetExpired as error:
        raise AllInFlight from error  # it expired between lock and record: the retry finds the next one


def reserve_keys_and_replay(requests: Sequence[ClaimRequest], locking: Locking) -> tuple[ClaimResults, list[ClaimRequest]]:
    """Reserve the idempotency keys; return stored responses and refusals for used keys, and the requests left to process."""
    results: ClaimResults = {}
    keyed = [request.request for request in requests if request.request]
    free = idempotency.reserve_keys(keyed, locking.lock_timeout_ms, for_claims=True)
    for request in requests:
        if request.request is None:
            continue
        if request.request.name in free:
            free.remove(request.request.name)  # the same request again in this batch is a repetition
            continue
        try:
            response = idempotency.find_response(request.request)
            results[request] = Claim(response.body, response.status_code, replayed=True)
        except IdempotencyKeyReused as refusal:
            results[request] = refusal
        except RequestInProgress as refusal:
            results[request] = find_recorded_claim(request, request.request) or refusal
    return results, [request for request in requests if request not in results]


def find_recorded_claim(request: ClaimRequest, keyed: IdempotentRequest) -> ClaimOutcome | None:
    """Return the claim recorded in the ledger under this request's key, or None.

    Stored responses are deleted after 7 days, entries never. An entry does not record whether the asset or its pool was
    requested, so either counts as the same request.
    """
    entry = Entry.objects.select_related("asset").filter(user=request.user, request_key=keyed.key).first()
    if entry is None:
        return None
    if request.target_id not in (entry.asset_id, entry.asset.pool_id):
        return IdempotencyKeyReused()
    return Claim(entry.receipt(), replayed=True)


def return_first_claims(repeated: Iterable[Assignment]) -> ClaimResults:
    """Return the first claim of owners who claim again, and store it as the response to this request."""
    results: ClaimResults = {}
    for request, asset in repeated:
        entry = Entry.objects.select_related("asset").get(asset=asset)
        claim = Claim(entry.receipt(), 200)
        if request.request:
            idempotency.store_responses([(request.request, StoredResponse(200, claim.receipt), entry)])
        results[request] = claim
    return results


def record_claims(assignments: Sequence[Assignment]) -> ClaimResults:
    """Mark the locked, AVAILABLE assets as claimed, write the ledger entries and store the responses.

    A trigger sets the time of the claim and the claim slot (assets.triggers.CLAIM_SQL). Raises AssetExpired, PoolClosed,
    ClaimLimitReached or IdempotencyKeyReused for all assignments when PostgreSQL rejects one.
    """
    if not assignments:
        return {}
    entries = [build_entry(request, asset) for request, asset in assignments]
    try:
        claimed_at = claim_sql.mark_claimed_and_append(entries)
    except IntegrityError as error:
        if refusal := claim_refusal(error):
            raise refusal from error
        raise
    for entry in entries:
        entry.claimed_at = claimed_at[entry.asset_id]
    results = {request: Claim(entry.receipt()) for (request, _), entry in zip(assignments, entries, strict=True)}
    idempotency.store_responses(
        (request.request, StoredResponse(claim.status_code, claim.receipt), entry)
        for (request, claim), entry in zip(results.items(), entries, strict=True)
        if request.request
    )
    return {**results}


def claim_refusal(error: IntegrityError) -> Refusal | None:
    """Return the refusal for the constraint by which PostgreSQL rejected a claim; None for any other constraint."""
    constraint = violated_constraint(error)
    if constraint == PERIOD_LIMIT:
        return PeriodLimitReached(datetime.fromisoformat(violation_detail(error)))
    refusal = REFUSAL_BY_CONSTRAINT.get(constraint)
    return refusal() if refusal else None


def build_entry(request: ClaimRequest, asset: CashbackAsset) -> Entry:
    """Return the unsaved entry of an assignment; PostgreSQL sets its time."""
    return Entry(
        asset=asset,
        user_id=request.user.pk,
        actor_id=request.user.pk,
        amount=asset.total_value,
        currency=asset.currency,
        request_key=request.request.key if request.request else None,
    )


BY_ASSET = ClaimKind(process_asset_claims, "assets", AssetNotFound)
FROM_POOL = ClaimKind(process_pool_claims, "pk", PoolNotFound)
