"""A payment as its owner reads it: its state, what happened, which credits paid and why these."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from wallet.ledger.fields import TransactionIdField
from wallet.ledger.models import Allocation, Movement, Payment, Seal
from wallet.ledger.payment_state import Figures, PaymentState

MOVEMENTS_SHOWN, CREDITS_SHOWN = 50, 50
# The seal in whose range a movement may be: the last that begins before it.
LAST_SEAL = Seal.objects.filter(from_xid__lte=OuterRef("xid")).order_by("-from_xid")
SEALED_UNTIL = Subquery(LAST_SEAL.values("to_xid")[:1], output_field=TransactionIdField())


@dataclass(frozen=True)
class PaymentReceipt:
    """A payment at `now`, by the database's clock. Longer lists are cut, which `has_more_credits` says of the credits."""

    payment: Payment
    figures: Figures
    now: datetime
    order_total: Decimal | None
    movements: Sequence[Any]
    credits: Sequence[Allocation]
    has_more_credits: bool

    @property
    def state(self) -> PaymentState:
        """The state of the payment."""
        return self.figures.state(self.now)

    @property
    def held(self) -> Decimal:
        """What is held and has not ended."""
        return Decimal(0) if self.figures.is_over(self.now) else self.figures.held

    @property
    def returned(self) -> Decimal:
        """What went back without being captured: released, or left of a hold that is over."""
        return self.figures.released + self.figures.held - self.held


def payment_receipt(user_id: UUID, payment_id: UUID) -> PaymentReceipt | None:
    """Return a payment of this user, None for any other id; in three queries."""
    payment: Any = Payment.objects.filter(pk=payment_id, user_id=user_id).select_related("service").annotate(now=Now()).first()
    if payment is None:
        return None
    movements = list(payment.movements.order_by("-number").annotate(sealed_until=SEALED_UNTIL)[:MOVEMENTS_SHOWN])
    for movement in movements:
        movement.is_sealed = movement.sealed_until is not None and movement.xid < movement.sealed_until
    parts = Allocation.objects.filter(payment_id=payment_id).select_related("lot__entry__asset__pool").order_by("position")
    credits = list(parts[: CREDITS_SHOWN + 1])
    return PaymentReceipt(
        payment=payment,
        figures=payment_figures(payment),
        now=payment.now,
        order_total=next((movement.order_total for movement in movements if movement.order_total), None),
        movements=movements,
        credits=credits[:CREDITS_SHOWN],
        has_more_credits=len(credits) > CREDITS_SHOWN,
    )


def payment_figures(payment: Payment) -> Figures:
    """Return the sums of a payment from its row."""
    names = ("amount", "captured", "released", "refunded", "held_until", "released_at")
    return Figures(**{name: getattr(payment, name) for name in names})


def own_movement(user_id: UUID, movement_id: UUID) -> Movement | None:
    """Return a movement of this user's wallet, None for any other id."""
    return Movement.objects.filter(pk=movement_id, user_id=user_id).first()
