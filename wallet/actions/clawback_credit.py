"""Claw back a claim, wholly or in part: the issuer takes it back, with a reason."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.transactions import atomic_with_retry
from kernel.uuid7 import uuid7
from wallet.actions.approvals import ApprovalRequired, Draft, awaiting_approval
from wallet.actions.claimed_credit import LockedLot, change_body, draft_change, lock_lot, replay_change
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_checks import check_payment_amount
from wallet.actions.payment_refusals import ClaimClawedBack, ExceedsClaim, refusals_of_postgresql
from wallet.actions.proposal_parameters import ClawbackParameters
from wallet.assets.models import ClawbackReach
from wallet.ledger.allocating import Share, allocate, total
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.models import Lot, ProposalKind
from wallet.ledger.recording import NewMovement, record
from wallet.money import format_amount


class Taking(NamedTuple):
    """What a clawback takes now, and what it cannot take yet."""

    shares: list[Share]
    shortfall: Decimal


@audited("credit_clawback")
def clawback_credit(
    claim_id: UUID,
    *,
    reason: str,
    amount: Decimal | None = None,
    note: str = "",
    actor: User | None = None,
    service: Service | None = None,
    key: str | None = None,
) -> Answer:
    """Take back `amount` of a claim, or all that was not taken back yet.

    What is available is taken now; what is held or spent becomes the `shortfall`, and is taken as soon as it comes back. With
    the pool's reach WALLET, other credits of the user in this currency bear it first.

    Arguments:
        note: free text, of which the ledger keeps the digest only.
        actor: the operator who asks.
        service: the service that asks, for a claim that it granted.
        key: the Idempotency-Key; a repetition gets the first answer.

    Raises AwaitsApproval above the pool's approval threshold, ClaimNotFound, InvalidAmount, ClaimClawedBack, ExceedsClaim,
    IdempotencyKeyReused, Busy.
    """
    digest = fingerprint("clawback", claim_id, amount and amount.normalize(), reason, note)
    note_digest = hashlib.sha256(note.encode()).hexdigest() if note else None
    by: dict[str, Any] = {"actor": actor, "service": service, "key": key}
    try:
        return clawback_at_once(claim_id, digest, reason=reason, amount=amount, note_digest=note_digest, **by)
    except ApprovalRequired:
        draft = draft_clawback(claim_id, digest, reason=reason, amount=amount, note_digest=note_digest, **by)
    raise awaiting_approval(draft)


def draft_clawback(
    claim_id: UUID,
    digest: str,
    *,
    reason: str,
    amount: Decimal | None,
    note_digest: str | None,
    actor: User | None,
    service: Service | None,
    key: str | None,
) -> Draft:
    """Return the proposal of a clawback of exactly what can be clawed back now, or of `amount`."""
    lot = Lot.objects.get(pk=claim_id)
    asked = lot.total - lot.clawback_total if amount is None else amount
    parameters = ClawbackParameters(claim_id, asked, reason, note_digest)
    return draft_change(
        ProposalKind.CLAWBACK, claim_id, asked, parameters, {}, fingerprint=digest, actor=actor, service=service, key=key
    )


def make_clawback(
    claim_id: UUID,
    digest: str,
    *,
    reason: str,
    amount: Decimal | None,
    note_digest: str | None,
    actor: User | None,
    service: Service | None,
    key: str | None,
    movement_id: UUID | None = None,
) -> Answer:
    """Claw back within the caller's transaction; see clawback_credit.

    Arguments:
        digest: the fingerprint of the request.
        movement_id: the id of the movement, if it was chosen before.
    """
    locked = lock_lot(claim_id, actor, service, key)
    if answer := replay_change(locked.keyed, digest):
        return answer
    taking = decide_clawback(locked, amount)
    movement = NewMovement(
        id=movement_id or uuid7(),
        kind="CLAWBACK",
        user_id=locked.lot.user_id,
        currency=locked.lot.currency,
        shares=taking.shares,
        claim_id=claim_id,
        shortfall=taking.shortfall,
        reason=reason,
        note_digest=note_digest,
        request_key=key,
        fingerprint=digest,
        actor_id=actor.pk if actor else None,
    )
    with refusals_of_postgresql():
        (recorded,) = record([movement])
    return Answer(change_body(recorded, None))


clawback_at_once = atomic_with_retry(idempotent=True)(make_clawback)


def preview_clawback(claim_id: UUID, amount: Decimal | None = None, service: Service | None = None) -> dict[str, Any]:
    """Return what a clawback would take now and what it could not take, without writing. Raises as clawback_credit."""
    return read_clawback(claim_id, amount, service)


@atomic_with_retry(idempotent=True)
def read_clawback(claim_id: UUID, amount: Decimal | None, service: Service | None) -> dict[str, Any]:
    """Decide a clawback in its wallet's turn and record nothing."""
    locked = lock_lot(claim_id, None, service, None)
    taking, currency = decide_clawback(locked, amount), locked.lot.currency
    return {"amount": format_amount(total(taking.shares), currency), "shortfall": format_amount(taking.shortfall, currency)}


def decide_clawback(locked: LockedLot, amount: Decimal | None) -> Taking:
    """Return what is taken from which lots: a pure function of the locked lots. Raises the refusals of clawback_credit."""
    lot = locked.lot
    left = lot.total - lot.clawback_total
    if not left:
        raise ClaimClawedBack
    asked = left if amount is None else amount
    check_payment_amount(asked, lot.currency)
    if asked > left:
        raise ExceedsClaim(left, lot.currency)
    shares = allocate(lots_to_take_from(lot, locked.others), asked)
    return Taking(shares, asked - total(shares))


def lots_to_take_from(lot: Any, others: Sequence[Any]) -> list[Share]:
    """Return the claim's own lot, then, with the reach WALLET, the others in draw order."""
    reached = [lot, *others] if lot.clawback_reach == ClawbackReach.WALLET else [lot]
    return [Share(each.entry_id, each.available) for each in reached]
