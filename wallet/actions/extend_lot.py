"""Extend a claimed credit: its end moves later, with a reason. A credit is never shortened."""

from datetime import datetime
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.transactions import atomic_with_retry
from wallet.actions.claimed_credit import change_body, lock_lot, replay_change
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import ClaimClawedBack, CreditEnded, NotLater, refusals_of_postgresql
from wallet.ledger.allocating import Share
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.recording import NewMovement, record


@audited("credit_extend")
@atomic_with_retry(idempotent=True)
def extend_lot(
    claim_id: UUID,
    *,
    until: datetime,
    reason: str,
    actor: User | None = None,
    service: Service | None = None,
    key: str | None = None,
) -> Answer:
    """Move the end of a claimed credit to `until` (exclusive).

    Raises ClaimNotFound, ClaimClawedBack, NotLater, also for a credit that never ends, CreditEnded, IdempotencyKeyReused, Busy.
    """
    digest = fingerprint("extend", claim_id, until, reason)
    locked = lock_lot(claim_id, actor, service, key)
    if answer := replay_change(locked.keyed, digest):
        return answer
    lot = locked.lot
    if lot.clawback_total == lot.total:
        raise ClaimClawedBack
    if lot.spendable_until is None or until <= lot.spendable_until:
        raise NotLater
    if lot.spendable_until <= locked.now:
        raise CreditEnded
    movement = NewMovement(
        kind="EXTEND",
        user_id=lot.user_id,
        currency=lot.currency,
        shares=[Share(claim_id, lot.total)],
        ends={claim_id: until},
        claim_id=claim_id,
        reason=reason,
        request_key=key,
        fingerprint=digest,
        actor_id=actor.pk if actor else None,
    )
    with refusals_of_postgresql():
        (recorded,) = record([movement])
    return Answer(change_body(recorded, until))
