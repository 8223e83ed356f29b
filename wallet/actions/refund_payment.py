"""Refund a captured payment, wholly or in parts: spent credit goes back to the credits it came from, last drawn first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.transactions import atomic_with_retry
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer, body_after, replay_key, same_reference
from wallet.actions.payment_checks import check_payment_amount, check_reference
from wallet.actions.payment_refusals import ExceedsRefundable, refusals_of_postgresql
from wallet.actions.payment_sql import LockedPayment, lock_payment
from wallet.actions.returned_credit import settle_returned_credit
from wallet.ledger.allocating import Share, allocate, refund_order
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.payment_state import figures_of
from wallet.ledger.recording import NewMovement, record_header, record_postings


@audited("payment_refund")
@atomic_with_retry(idempotent=True)
def refund_payment(
    payment_id: UUID,
    *,
    reference: str,
    reason: str,
    amount: Decimal | None = None,
    service: Service | None = None,
    actor: User | None = None,
    key: str | None = None,
) -> Answer:
    """Refund `amount` of what was captured, or all that is left of it; the answer is the payment.

    What comes back to a credit that has ended lives again for the pool's refund_grace_days, once, if nothing unspent was left
    in it when it ended; otherwise it lapses at once. What comes back to a clawed-back credit is taken.

    Arguments:
        reference: the service's name of this refund; the same one again is the same refund.
        service: the service that asks; None: `actor`, an operator, does.
        key: the Idempotency-Key; a repetition gets the first answer.

    Raises PaymentNotFound, InvalidAmount, InvalidReference, ExceedsRefundable, ReferenceUsed, IdempotencyKeyReused, Busy.
    """
    check_reference(reference)
    digest = fingerprint("refund", payment_id, amount and amount.normalize(), reference, reason)
    payment = lock_payment(payment_id, service, actor, key, reference)
    if answer := replay_key(payment.keyed, digest):
        return answer
    if payment.refunds:
        return same_reference(payment_id, payment.refunds[0].fingerprint, digest)
    shares = allocate(refund_order(payment.parts), amount_to_refund(payment, amount))
    refund = NewMovement(
        kind="REFUND",
        user_id=payment.user_id,
        currency=payment.currency,
        shares=shares,
        payment_id=payment_id,
        service_id=payment.service_id,
        reference=reference,
        reason=reason,
        request_key=key,
        fingerprint=digest,
        actor_id=actor.pk if actor else None,
    )
    with refusals_of_postgresql():
        recorded = record_header(refund)
        record_postings(replace(refund, ends=renewed_ends(shares, payment.parts, recorded.at)))
    settle_returned_credit(share.lot_id for share in shares)
    return Answer(body_after(payment_id, recorded.number))


def amount_to_refund(payment: LockedPayment, amount: Decimal | None) -> Decimal:
    """Return the amount to refund; raise InvalidAmount, or ExceedsRefundable if less was captured and not refunded."""
    refundable = figures_of(payment.movements).refundable
    if amount is not None:
        check_payment_amount(amount, payment.currency)
    if not refundable or (amount or 0) > refundable:
        raise ExceedsRefundable(refundable, payment.currency)
    return refundable if amount is None else amount


def renewed_ends(shares: Sequence[Share], parts: Sequence[Any], at: datetime) -> dict[UUID, datetime]:
    """Return the new ends of the lots that a refund at `at` brings back to life."""
    refunded = {share.lot_id for share in shares}
    return {
        part.lot_id: at + timedelta(days=part.refund_grace_days)
        for part in parts
        if part.lot_id in refunded and is_renewed(part, at)
    }


def is_renewed(lot: Any, at: datetime) -> bool:
    """Return whether a refund renews this lot: it has ended, never before was renewed, and ended with nothing unspent."""
    has_ended = lot.spendable_until is not None and lot.spendable_until <= at
    was_used_up = not (lot.available or lot.lot_held or lot.lapsed)
    return has_ended and was_used_up and not lot.renewals and lot.refund_grace_days > 0
