"""Capture a held payment, wholly or in parts: the service delivered, and the credit is spent."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.transactions import atomic_with_retry
from wallet.actions.payment_answers import Answer, body_after, replay_key
from wallet.actions.payment_checks import check_payment_amount
from wallet.actions.payment_refusals import AlreadyCaptured, AlreadyReleased, ExceedsHeld, HoldExpired, refusals_of_postgresql
from wallet.actions.payment_sql import LockedPayment, lock_payment
from wallet.actions.returned_credit import settle_returned_credit
from wallet.ledger.allocating import allocate, capture_order, less
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.payment_state import Figures, PaymentState, figures_of
from wallet.ledger.recording import NewMovement, record


@atomic_with_retry(idempotent=True)
def capture_payment(
    payment_id: UUID,
    service: Service,
    *,
    amount: Decimal | None = None,
    final: bool = True,
    actor: User | None = None,
    key: str | None = None,
) -> Answer:
    """Capture `amount` of what a payment holds, or all of it; the answer is the payment.

    Arguments:
        final: release the rest, so that nothing stays held.
        actor: the operator who asks; None: the service itself.
        key: the Idempotency-Key; a repetition gets the first answer.

    Raises PaymentNotFound, InvalidAmount, ExceedsHeld, HoldExpired, AlreadyCaptured, AlreadyReleased, IdempotencyKeyReused,
    Busy.
    """
    digest = fingerprint("capture", payment_id, amount and amount.normalize(), final)
    payment = lock_payment(payment_id, service, actor, key)
    if answer := replay_key(payment.keyed, digest):
        return answer
    captured = amount_to_capture(payment, amount)
    held = capture_order(payment.parts)
    taken = allocate(held, captured)
    common: dict[str, Any] = {"user_id": payment.user_id, "currency": payment.currency, "payment_id": payment_id}
    common |= {"service_id": payment.service_id, "actor_id": actor.pk if actor else None}
    movements = [NewMovement("CAPTURE", shares=taken, request_key=key, fingerprint=digest, **common)]
    if final and (rest := less(held, taken)):
        movements.append(NewMovement("RELEASE", shares=rest, **common))
    with refusals_of_postgresql():
        recorded = record(movements)
    settle_returned_credit(share.lot_id for share in held)
    return Answer(body_after(payment_id, recorded[-1].number))


def amount_to_capture(payment: LockedPayment, amount: Decimal | None) -> Decimal:
    """Return the amount to capture; raise the refusal if the payment is not held, or holds less."""
    figures = figures_of(payment.movements)
    state = figures.state(payment.now)
    if state == PaymentState.EXPIRED:
        raise HoldExpired
    if state == PaymentState.RELEASED:
        raise AlreadyReleased
    if state not in (PaymentState.HELD, PaymentState.PARTLY_CAPTURED):
        raise AlreadyCaptured
    return checked_amount(payment, figures, amount)


def checked_amount(payment: LockedPayment, figures: Figures, amount: Decimal | None) -> Decimal:
    """Return `amount`, or all that is held; raise InvalidAmount or ExceedsHeld."""
    if amount is None:
        return figures.held
    check_payment_amount(amount, payment.currency)
    if amount > figures.held:
        raise ExceedsHeld(figures.held, payment.currency)
    return amount
