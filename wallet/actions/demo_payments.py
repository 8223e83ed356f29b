"""Payments of the demo data: one in each state, made as a shop makes them. Each step has a key, so that it happens once."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from wallet.actions.capture_payment import capture_payment
from wallet.actions.demo_shop import CURRENCY, NAME, Basket, demo_service
from wallet.actions.pay import pay
from wallet.actions.payment_checks import MAX_HOLD_SECONDS, MIN_HOLD_SECONDS
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.ledger.models import Movement


@dataclass(frozen=True)
class DemoPayment:
    """A payment and what becomes of it: what is captured, whether the rest is released, and what is refunded."""

    name: str
    amount: str
    hold_seconds: int = MAX_HOLD_SECONDS
    captured: str | None = None
    is_final: bool = True
    is_released: bool = False
    refunded: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The key of each step, by its name."""
        steps = {"hold": True, "capture": self.captured, "release": self.is_released, "refund": self.refunded}
        return {step: f"demo-{self.name}-{step}" for step, happens in steps.items() if happens}


PAYMENTS = (
    DemoPayment("held", "20.00"),
    DemoPayment("partly-captured", "30.00", captured="10.00", is_final=False),
    DemoPayment("captured", "25.00", captured="25.00"),
    DemoPayment("partly-refunded", "30.00", captured="30.00", refunded="12.50"),
    DemoPayment("refunded", "15.00", captured="15.00", refunded="15.00"),
    DemoPayment("released", "40.00", is_released=True),
    DemoPayment("expired", "12.50", hold_seconds=MIN_HOLD_SECONDS),  # once a minute has passed
)
ORDER = Basket({"mug": 1})


def are_complete() -> bool:
    """Return whether every step of every payment has happened."""
    keys = [key for payment in PAYMENTS for key in payment.keys.values()]
    return Movement.objects.filter(service__name=NAME, request_key__in=keys).count() == len(keys)


def create_payments(user: User) -> None:
    """Make the payments from the user's credit; what was made by an earlier run stays as it is."""
    for payment in PAYMENTS:
        create_payment(user, payment)


def create_payment(user: User, payment: DemoPayment) -> None:
    """Make one payment and take it to its state."""
    service, keys = demo_service(), payment.keys
    held = pay(
        user,
        service,
        currency=CURRENCY,
        amount=Decimal(payment.amount),
        reference=ORDER.reference(keys["hold"]),
        capture=False,
        hold_seconds=payment.hold_seconds,
        order_total=ORDER.total,
        key=keys["hold"],
    )
    payment_id = UUID(held.body["id"])
    steps: dict[str, Callable[[str], object]] = {
        "capture": lambda key: capture_payment(
            payment_id, service, amount=Decimal(str(payment.captured)), final=payment.is_final, key=key
        ),
        "release": lambda key: release_payment(payment_id, service=service, key=key),
        "refund": lambda key: refund_payment(
            payment_id, reference=key, reason="return", amount=Decimal(str(payment.refunded)), service=service, key=key
        ),
    }
    for step, run in steps.items():
        if step in keys:
            run(keys[step])
