"""What became of a payment, from its movements: figures, state, and the answer of the API. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from kernel.timestamps import format_timestamp
from wallet.money import format_amount


class PaymentState(StrEnum):
    """The state of a payment; it follows from the figures and the clock and is never stored."""

    HELD = "HELD"
    PARTLY_CAPTURED = "PARTLY_CAPTURED"
    CAPTURED = "CAPTURED"
    PARTLY_REFUNDED = "PARTLY_REFUNDED"
    REFUNDED = "REFUNDED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


IS_HOLDING = Q(is_held=True, held_until__gt=Now())
HAS_ENDED = Q(held__gt=0, held_until__lte=Now()) | Q(held=0, released_at__gte=F("held_until"))
UNREFUNDED, ALL_REFUNDED = Q(refunded=0), Q(refunded=F("captured"))
# The states of Figures.state as conditions on the rows of payments.
IN_STATE = {
    PaymentState.HELD: IS_HOLDING & Q(captured=0),
    PaymentState.PARTLY_CAPTURED: IS_HOLDING & Q(captured__gt=0),
    PaymentState.CAPTURED: ~IS_HOLDING & Q(captured__gt=0) & UNREFUNDED,
    PaymentState.PARTLY_REFUNDED: ~IS_HOLDING & Q(captured__gt=0) & ~UNREFUNDED & ~ALL_REFUNDED,
    PaymentState.REFUNDED: ~IS_HOLDING & Q(captured__gt=0) & ALL_REFUNDED,
    PaymentState.RELEASED: Q(captured=0, held=0) & ~HAS_ENDED,
    PaymentState.EXPIRED: Q(captured=0) & HAS_ENDED,
}


class PaymentMovement(Protocol):
    """A movement of a payment, as it is read."""

    id: UUID
    kind: str
    amount: Decimal
    at: datetime
    currency: str
    user_id: UUID
    service_id: UUID
    reference: str | None
    order_total: Decimal | None
    held_until: datetime | None


@dataclass(frozen=True)
class Figures:
    """The sums of a payment: `amount` = held + captured + released, and refunded <= captured."""

    amount: Decimal
    captured: Decimal
    released: Decimal
    refunded: Decimal
    held_until: datetime | None
    released_at: datetime | None = None

    @property
    def held(self) -> Decimal:
        """What is still held, whether or not the hold has ended."""
        return self.amount - self.captured - self.released

    @property
    def refundable(self) -> Decimal:
        """What was captured and not refunded."""
        return self.captured - self.refunded

    def is_over(self, now: datetime) -> bool:
        """Return whether the hold has ended by the clock."""
        return self.held_until is not None and self.held_until <= now

    def state(self, now: datetime) -> PaymentState:
        """Return the state at `now`, by the database's clock: a hold that has ended is over, written down or not."""
        if self.held > 0 and not self.is_over(now):
            return PaymentState.PARTLY_CAPTURED if self.captured else PaymentState.HELD
        if not self.captured:
            ended = self.held > 0 or (self.released_at is not None and self.is_over(self.released_at))
            return PaymentState.EXPIRED if ended else PaymentState.RELEASED
        if not self.refunded:
            return PaymentState.CAPTURED
        return PaymentState.REFUNDED if self.refunded == self.captured else PaymentState.PARTLY_REFUNDED


def figures_of(movements: Sequence[PaymentMovement]) -> Figures:
    """Return the sums of a payment's movements, of which the first began it."""
    sums = dict.fromkeys(("HOLD", "SPEND", "CAPTURE", "RELEASE", "REFUND"), Decimal(0))
    for movement in movements:
        sums[movement.kind] += movement.amount
    releases = [movement.at for movement in movements if movement.kind == "RELEASE"]
    return Figures(
        amount=sums["HOLD"] + sums["SPEND"],
        captured=sums["SPEND"] + sums["CAPTURE"],
        released=sums["RELEASE"],
        refunded=sums["REFUND"],
        held_until=movements[0].held_until,
        released_at=max(releases, default=None),
    )


def payment_body(movements: Sequence[PaymentMovement], now: datetime) -> dict[str, Any]:
    """Return the payment in JSON types, as it is at `now` after these movements."""
    began, figures = movements[0], figures_of(movements)
    names = ("amount", "held", "captured", "released", "refunded", "refundable")
    return {
        "id": str(began.id),
        "state": str(figures.state(now)),
        "user": str(began.user_id),
        "service": str(began.service_id),
        "reference": began.reference,
        "created_at": format_timestamp(began.at),
        "currency": began.currency,
        "order_total": None if began.order_total is None else format_amount(began.order_total, began.currency),
        **{name: format_amount(getattr(figures, name), began.currency) for name in names},
        "held_until": format_timestamp(figures.held_until),
        "movements": [movement_body(movement) for movement in movements],
    }


def movement_body(movement: PaymentMovement) -> dict[str, Any]:
    """Return a movement of a payment in JSON types."""
    return {
        "id": str(movement.id),
        "kind": movement.kind,
        "amount": format_amount(movement.amount, movement.currency),
        "at": format_timestamp(movement.at),
        "reference": movement.reference,
    }
