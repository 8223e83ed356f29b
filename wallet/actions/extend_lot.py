"""Extend a claimed credit: its end moves later, with a reason. A credit is never shortened."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.timestamps import format_timestamp
from kernel.transactions import atomic_with_retry
from kernel.uuid7 import uuid7
from wallet.actions.approvals import ApprovalRequired, awaiting_approval
from wallet.actions.claimed_credit import LockedLot, change_body, draft_change, lock_lot, replay_change
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import ClaimClawedBack, CreditEnded, NotLater, refusals_of_postgresql
from wallet.actions.proposal_parameters import ExtendParameters
from wallet.ledger.allocating import Share
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.models import Lot, ProposalKind
from wallet.ledger.recording import NewMovement, record
from wallet.money import format_amount


@audited("credit_extend")
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

    Raises AwaitsApproval above the pool's approval threshold, ClaimNotFound, ClaimClawedBack, NotLater, also for a credit that
    never ends, CreditEnded, IdempotencyKeyReused, Busy.
    """
    request = ExtendParameters(claim_id, until, reason)
    try:
        return extend_at_once(request, actor, service, key)
    except ApprovalRequired:
        lot = Lot.objects.get(pk=claim_id)
        shown = {"ends": format_timestamp(lot.spendable_until), "until": format_timestamp(until)}
        by: dict[str, Any] = {"actor": actor, "service": service, "key": key}
        draft = draft_change(
            ProposalKind.EXTEND, claim_id, lot.total, request, shown, fingerprint=extend_fingerprint(request), **by
        )
    raise awaiting_approval(draft)


def extend_fingerprint(request: ExtendParameters) -> str:
    """Return the fingerprint of what a key was used for."""
    return fingerprint("extend", request.claim, request.until, request.reason)


def make_extension(
    request: ExtendParameters,
    actor: User | None,
    service: Service | None,
    key: str | None,
    *,
    movement_id: UUID | None = None,
) -> Answer:
    """Extend within the caller's transaction; see extend_lot. `movement_id` is the movement's id, if it was chosen before."""
    claim_id, until = request.claim, request.until
    digest = extend_fingerprint(request)
    locked = lock_lot(claim_id, actor, service, key)
    if answer := replay_change(locked.keyed, digest):
        return answer
    check_extension(locked, until)
    lot = locked.lot
    movement = NewMovement(
        id=movement_id or uuid7(),
        kind="EXTEND",
        user_id=lot.user_id,
        currency=lot.currency,
        shares=[Share(claim_id, lot.total)],
        ends={claim_id: until},
        claim_id=claim_id,
        reason=request.reason,
        request_key=key,
        fingerprint=digest,
        actor_id=actor.pk if actor else None,
    )
    with refusals_of_postgresql():
        (recorded,) = record([movement])
    return Answer(change_body(recorded, until))


extend_at_once = atomic_with_retry(idempotent=True)(make_extension)


def check_extension(locked: LockedLot, until: datetime) -> None:
    """Raise ClaimClawedBack, NotLater or CreditEnded unless the credit's end can move to `until`."""
    lot = locked.lot
    if lot.clawback_total == lot.total:
        raise ClaimClawedBack
    if lot.spendable_until is None or until <= lot.spendable_until:
        raise NotLater
    if lot.spendable_until <= locked.now:
        raise CreditEnded


@atomic_with_retry(idempotent=True)
def preview_extension(claim_id: UUID, until: datetime, service: Service | None = None) -> dict[str, Any]:
    """Return what would be spendable until when, without writing. Raises the refusals of extend_lot."""
    locked = lock_lot(claim_id, None, service, None)
    check_extension(locked, until)
    lot = locked.lot
    return {
        "available": format_amount(lot.available, lot.currency),
        "spendable_until_now": format_timestamp(lot.spendable_until),
        "spendable_until": format_timestamp(until),
    }
