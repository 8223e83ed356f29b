"""The orders of the demo shop, as its payments tell them; and what a new one would draw on."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from accounts.models import User
from accounts.services import Service
from wallet.actions import demo_shop
from wallet.actions.demo_shop import Basket
from wallet.actions.quote_payment import quote_payment
from wallet.ledger.models import Entry, Payment
from wallet.ledger.payment_state import PaymentState
from wallet.queries.payment_receipt import PaymentReceipt, payment_figures, payment_receipt

ORDERS_SHOWN = 5
CREDITS_SHOWN = 10
WALLET_LOOKED_AT = 50  # of the user's latest payments, those of the shop are shown


@dataclass(frozen=True)
class DemoOrder:
    """An order in the list: its payment and how far it is."""

    payment: Payment
    state: PaymentState


@dataclass(frozen=True)
class Quote:
    """What an order would draw on now: `shares` are (title, amount, end) in the order of drawing."""

    covered: Decimal
    missing: Decimal
    shares: list[tuple[str, Decimal, str | None]]
    has_more: bool
    passed_over: list[dict[str, Any]]


def demo_orders(user: User) -> list[DemoOrder]:
    """Return the user's latest orders at the shop, newest first, in one query."""
    latest = Payment.objects.filter(user=user).select_related("service").annotate(now=Now()).order_by("-began_at", "-id")
    ours: list[Any] = [payment for payment in latest[:WALLET_LOOKED_AT] if payment.service.name == demo_shop.NAME]
    return [DemoOrder(payment, payment_figures(payment).state(payment.now)) for payment in ours[:ORDERS_SHOWN]]


def demo_order(user: User, payment_id: UUID) -> PaymentReceipt | None:
    """Return an order of the user at the shop, None for any other id."""
    receipt = payment_receipt(user.pk, payment_id)
    return receipt if receipt and receipt.payment.service.name == demo_shop.NAME else None


def quote_order(user: User, basket: Basket, credit: Decimal | None) -> Quote:
    """Return what `credit` for this order would draw on; None: as much as is there. Raises InvalidAmount and WalletClosed."""
    service = Service.objects.filter(name=demo_shop.NAME).first() or Service(name=demo_shop.NAME)
    amount = basket.total if credit is None else credit
    quote = quote_payment(user, service, currency=demo_shop.CURRENCY, amount=amount, up_to=credit is None)
    drawn, passed_over = quote["allocations"][:CREDITS_SHOWN], quote["passed_over"]
    titles = titles_of([line["claim"] for line in (*drawn, *passed_over)])
    return Quote(
        covered=Decimal(quote["covered"]),
        missing=Decimal(quote["missing"]),
        shares=[(titles[line["claim"]], Decimal(line["amount"]), line["spendable_until"]) for line in drawn],
        has_more=len(quote["allocations"]) > CREDITS_SHOWN,
        passed_over=[
            {"title": titles[line["claim"]], "amount": Decimal(line["available"]), "reason": line["reason"]}
            for line in passed_over
        ],
    )


def titles_of(claims: list[str]) -> dict[str, str]:
    """Return the titles of claimed credits by the ids of their claims."""
    rows = Entry.objects.filter(pk__in=claims).order_by().values_list("pk", "asset__title") if claims else ()
    return {str(pk): title for pk, title in rows}
