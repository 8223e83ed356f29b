"""Grant a credit: claim one of a pool for a user, with a reason. The rules of a claim hold, the pool's limit included."""

from uuid import UUID

from django.db import IntegrityError

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Refusal
from kernel.transactions import atomic_with_retry
from wallet.actions import claim_sql
from wallet.actions.claim_batch import claim_refusal
from wallet.actions.claim_decisions import AllInFlight, PoolSoldOut
from wallet.actions.grant_lines import grant_fingerprint
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_checks import check_reference
from wallet.actions.payment_refusals import ReferenceUsed, WalletClosed, refusals_of_postgresql
from wallet.actions.replenish_pool import replenish_for_grants
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.models import Entry, Grant


@audited("credit_grant")
@atomic_with_retry(idempotent=True)
def grant_credit(
    user: User, pool_id: UUID, *, reference: str, reason: str, actor: User | None = None, service: Service | None = None
) -> Answer:
    """Claim the credit of the pool that expires soonest for `user`; the answer is the claim's receipt.

    Arguments:
        reference: the caller's name of this grant; the same one again is the same grant.
        actor: the operator who asks.
        service: the service that asks.

    Raises InvalidReference, ReferenceUsed, WalletClosed, PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached,
    NeverSpendable, Busy.
    """
    check_reference(reference)
    digest = grant_fingerprint(user.pk, pool_id, reason)
    earlier = Grant.objects.select_related("entry__asset").filter(service=service, reference=reference).first()
    if earlier is not None:
        return answer_again(earlier, digest)
    if not user.is_active:
        raise WalletClosed
    entry = claim_for(user, actor or user, pool_id)
    with refusals_of_postgresql():
        Grant.objects.create(entry=entry, service=service, actor=actor, reference=reference, reason=reason, fingerprint=digest)
    return Answer(entry.receipt())


def answer_again(earlier: Grant, digest: str) -> Answer:
    """Return the answer of an earlier grant of this reference; raise ReferenceUsed if it was a different one."""
    if earlier.fingerprint != digest:
        raise ReferenceUsed
    return Answer(earlier.entry.receipt(), 200)


def claim_for(user: User, actor: User, pool_id: UUID) -> Entry:
    """Claim the asset of the pool that expires soonest, and return its entry."""
    assets = claim_sql.lock_pool_assets(pool_id, 1)
    if not assets and replenish_for_grants(pool_id, 1):
        assets = claim_sql.lock_pool_assets(pool_id, 1)
    if not assets:
        raise missing_credit(pool_id)
    entry = build_entry(user, actor, assets[0])
    try:
        entry.claimed_at = claim_sql.mark_claimed_and_append([entry], granted_by=actor.pk)[entry.asset_id]
    except IntegrityError as error:
        if refusal := claim_refusal(error):
            raise refusal from error
        raise
    return entry


def missing_credit(pool_id: UUID) -> Refusal:
    """Return the refusal when no credit could be locked."""
    if not CreditPool.objects.filter(pk=pool_id).exists():
        return PoolNotFound()
    return AllInFlight() if claim_sql.has_claimable_assets(pool_id, besides=[]) else PoolSoldOut()


def build_entry(user: User, actor: User, asset: CashbackAsset) -> Entry:
    """Return the unsaved entry of the claim."""
    return Entry(asset=asset, user_id=user.pk, actor_id=actor.pk, amount=asset.total_value, currency=asset.currency)
