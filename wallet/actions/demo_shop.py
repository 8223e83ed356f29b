"""The demo shop: its products, its orders and what it does with their payments. It is a service like any other.

An order is stored nowhere: its payment's reference says what was ordered, and the payment how far it is.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import Service
from wallet.actions.capture_payment import capture_payment
from wallet.actions.pay import pay
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import InvalidAmount
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment

NAME, CURRENCY = "Demo shop", "INR"
HOLD_SECONDS = 15 * 60
MAX_QUANTITY = 9
# Title and price by the name that references use.
PRODUCTS = {
    "tea": (_("Darjeeling tea, 250 g"), Decimal("240.00")),
    "mug": (_("Clay mug"), Decimal("85.50")),
    "lamp": (_("Brass lamp"), Decimal("649.00")),
    "scarf": (_("Cotton scarf"), Decimal("399.00")),
}
ITEM = re.compile(r"([1-9]) ([a-z]+)")


@dataclass(frozen=True)
class Basket:
    """What is bought: the quantity, from 1 to MAX_QUANTITY, of each product by its name."""

    quantities: Mapping[str, int]

    @property
    def total(self) -> Decimal:
        """What all of it costs."""
        return sum((PRODUCTS[name][1] * quantity for name, quantity in self.quantities.items()), Decimal(0))

    def lines(self) -> list[tuple[int, str, Decimal]]:
        """Return quantity, title and price of each product."""
        return [(count, str(PRODUCTS[name][0]), PRODUCTS[name][1] * count) for name, count in self.quantities.items()]

    def reference(self, key: str) -> str:
        """Return the reference of the order that the form with this key places, e.g. "7F3K2Q: 2 tea, 1 mug"."""
        number = hashlib.sha256(key.encode()).hexdigest()[:8].upper()
        return f"{number}: {', '.join(f'{quantity} {name}' for name, quantity in self.quantities.items())}"

    @classmethod
    def of_reference(cls, reference: str) -> "Basket":
        """Return what an order contains; products of another time are left out."""
        found = ITEM.findall(reference.partition(": ")[2])
        return cls({name: int(quantity) for quantity, name in found if name in PRODUCTS})


def demo_service() -> Service:
    """Return the shop's service, which the first order creates."""
    return Service.objects.get_or_create(name=NAME)[0]


def place_order(user: User, basket: Basket, credit: Decimal, key: str) -> Answer:
    """Hold `credit` of the user for an order; the same key is the same order.

    Raises InvalidAmount, also for more than the order costs, and as pay() does.
    """
    if credit > basket.total:
        raise InvalidAmount
    return pay(
        user,
        demo_service(),
        currency=CURRENCY,
        amount=credit,
        reference=basket.reference(key),
        capture=False,
        hold_seconds=HOLD_SECONDS,
        order_total=basket.total,
        actor=user,
        key=key,
    )


def ship_order(payment_id: UUID, amount: Decimal | None, key: str) -> Answer:
    """Capture what was shipped: `amount` of it, or all the rest. Raises as capture_payment() does."""
    return capture_payment(payment_id, demo_service(), amount=amount, final=amount is None, key=key)


def cancel_order(payment_id: UUID, key: str) -> Answer:
    """Release what an order still holds. Raises as release_payment() does."""
    return release_payment(payment_id, service=demo_service(), key=key)


def return_order(payment_id: UUID, amount: Decimal | None, key: str) -> Answer:
    """Refund what came back: `amount` of it, or all that is left. Raises as refund_payment() does."""
    return refund_payment(
        payment_id, reference=f"return {key}", reason="return", amount=amount, service=demo_service(), key=key
    )
