"""Grant a credit: claim one of a pool for a user, with a reason. The rules of a claim hold, the pool's limit included."""

from uuid import UUID

from django.db import IntegrityError

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Refusal
from kernel.transactions import atomic_with_retry
from kernel.uuid7 import uuid7
from wallet.actions import claim_sql
from wallet.actions.approvals import ApprovalRequired, Draft, awaiting_approval
from wallet.actions.claim_batch import claim_refusal
from wallet.actions.claim_decisions import nothing_left
from wallet.actions.grant_lines import grant_fingerprint
from wallet.actions.grant_sql import lock_users_in_pool
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_checks import check_reference
from wallet.actions.payment_refusals import ReferenceUsed, WalletClosed, refusals_of_postgresql
from wallet.actions.proposal_parameters import GrantParameters
from wallet.actions.replenish_pool import replenish_for_grants
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import IdempotentRequest, StoredResponse, answer_once
from wallet.ledger.models import Entry, Grant, ProposalKind
from wallet.money import format_amount


@audited("credit_grant")
def grant_credit(
    user: User,
    pool_id: UUID,
    *,
    reference: str,
    reason: str,
    actor: User | None = None,
    service: Service | None = None,
    request: IdempotentRequest | None = None,
) -> Answer:
    """Claim the credit of the pool that expires soonest for `user`; the answer is the claim's receipt.

    Arguments:
        reference: the caller's name of this grant; the same one again is the same grant.
        actor: the operator who asks.
        service: the service that asks.
        request: makes a repetition get the first answer.

    Raises AwaitsApproval above the pool's approval threshold, InvalidReference, ReferenceUsed, WalletClosed, PoolNotFound,
    PoolClosed, PoolSoldOut, ClaimLimitReached, NeverSpendable, IdempotencyKeyReused, RequestInProgress, Busy.
    """
    parameters = GrantParameters(user.pk, reference, reason)

    @atomic_with_retry(idempotent=True)
    def commit() -> Answer:
        def grant() -> StoredResponse:
            answer = make_grant(user, pool_id, parameters, actor, service)
            return StoredResponse(answer.status_code, answer.body)

        response, replayed = answer_once(request, grant)
        return Answer(response.body, response.status_code, replayed)

    try:
        return commit()
    except ApprovalRequired:
        draft = draft_grant(user, pool_id, parameters, actor, service)
    raise awaiting_approval(draft)


def draft_grant(user: User, pool_id: UUID, request: GrantParameters, actor: User | None, service: Service | None) -> Draft:
    """Return the proposal of a grant, with the credit that it would give now. Raises PoolNotFound, PoolSoldOut."""
    claimable = CashbackAsset.objects.claimable().filter(pool=pool_id).soonest_expiry_first()
    credit = claimable.select_related("pool").first()
    if credit is None or credit.pool is None:
        raise missing_credit(pool_id)
    amount = format_amount(credit.total_value, credit.currency)
    return Draft(
        ProposalKind.GRANT,
        credit.pool,
        credit.total_value,
        request,
        {"user": str(user.pk), "credit": credit.title, "amount": amount, "reference": request.reference},
        grant_fingerprint(user.pk, pool_id, request.reason),
        actor,
        service,
        request.reference,
        request.reason,
        key_reused=ReferenceUsed,
    )


def make_grant(
    user: User,
    pool_id: UUID,
    request: GrantParameters,
    actor: User | None,
    service: Service | None,
    *,
    entry_id: UUID | None = None,
) -> Answer:
    """Grant within the caller's transaction; see grant_credit. `entry_id` is the id of the claim, if it was chosen before."""
    reference, reason = request.reference, request.reason
    check_reference(reference)
    digest = grant_fingerprint(user.pk, pool_id, reason)
    earlier = Grant.objects.select_related("entry__asset").filter(service=service, reference=reference).first()
    if earlier is not None:
        return answer_again(earlier, digest)
    if not user.is_active:
        raise WalletClosed
    entry = claim_for(user, actor or user, pool_id, entry_id or uuid7())
    with refusals_of_postgresql():
        Grant.objects.create(entry=entry, service=service, actor=actor, reference=reference, reason=reason, fingerprint=digest)
    return Answer(entry.receipt())


def answer_again(earlier: Grant, digest: str) -> Answer:
    """Return the answer of an earlier grant of this reference; raise ReferenceUsed if it was a different one."""
    if earlier.fingerprint != digest:
        raise ReferenceUsed
    return Answer(earlier.entry.receipt(), 200)


def claim_for(user: User, actor: User, pool_id: UUID, entry_id: UUID) -> Entry:
    """Claim the asset of the pool that expires soonest, and return its entry."""
    assets = claim_sql.lock_pool_assets(pool_id, 1)
    if not assets:
        lock_users_in_pool(pool_id, [user.pk])  # before the locks of more supply, as bulk grants do
        if replenish_for_grants(pool_id, 1):
            assets = claim_sql.lock_pool_assets(pool_id, 1)
    if not assets:
        raise missing_credit(pool_id)
    entry = build_entry(entry_id, user, actor, assets[0])
    try:
        entry.claimed_at = claim_sql.mark_claimed_and_append([entry], granted_by=actor.pk)[entry.asset_id]
    except IntegrityError as error:
        if refusal := claim_refusal(error):
            raise refusal from error
        raise
    return entry


def missing_credit(pool_id: UUID) -> Refusal:
    """Return the refusal when no credit could be locked."""
    return nothing_left(claim_sql.read_pool_supply(pool_id))


def build_entry(entry_id: UUID, user: User, actor: User, asset: CashbackAsset) -> Entry:
    """Return the unsaved entry of the claim."""
    return Entry(
        id=entry_id, asset=asset, user_id=user.pk, actor_id=actor.pk, amount=asset.total_value, currency=asset.currency
    )
