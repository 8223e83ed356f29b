"""Payments as their owner, their service and operators see them."""

from itertools import pairwise
from typing import Any

from django.db.models import DateTimeField, Func, Prefetch, QuerySet

from accounts.models import User
from accounts.services import Service
from kernel.timestamps import format_timestamp
from wallet.ledger.models import Allocation, Movement, Payment
from wallet.ledger.payment_state import figures_of, payment_body
from wallet.money import format_amount
from wallet.queries.inclusion_proof import inclusion_proof


def visible_payments(user: User | None, service: Service | None) -> QuerySet[Payment]:
    """Return the payments that the caller may see, with their movements: a service its own, an operator all, a user theirs."""
    if service is not None:
        return payments_with_movements().filter(service=service)
    assert user is not None
    return payments_with_movements() if user.is_admin else payments_of(user)


def payments_of(user: User) -> QuerySet[Payment]:
    """Return the user's own payments, with their movements."""
    return payments_with_movements().filter(user=user)


def payments_with_movements() -> QuerySet[Payment]:
    """Return all payments with their movements, and the database's time as `now`."""
    payments = Payment.objects.annotate(now=Func(function="clock_timestamp", output_field=DateTimeField()))
    return payments.prefetch_related(Prefetch("movements", Movement.objects.order_by("number")))


def shown_payment(payment: Any) -> dict[str, Any]:
    """Return a payment of `visible_payments` in JSON types."""
    return payment_body(list(payment.movements.all()), payment.now)


def shown_allocations(payment: Payment) -> list[dict[str, Any]]:
    """Return what each claim bears of the payment, in the order of drawing."""
    return [allocation_figures(part, payment.currency) for part in payment.allocations.order_by("position")]


def allocation_figures(part: Allocation, currency: str) -> dict[str, Any]:
    """Return what one claim bears of a payment."""
    names = ("amount", "held", "captured", "released", "refunded")
    return {"claim": str(part.lot_id)} | {name: format_amount(getattr(part, name), currency) for name in names}


def explain_payment(payment: Payment) -> dict[str, Any]:
    """Return which credits paid, in the order of drawing, and for each why it came before the next one."""
    parts: list[Any] = list(payment.allocations.select_related("lot__entry__asset").order_by("position"))
    reasons = [drawn_before(first.lot, second.lot) for first, second in pairwise(parts)]
    figures = figures_of(list(payment.movements.all()))
    return {
        "payment": str(payment.pk),
        "order_drawn": "Pool priority, then soonest end, then oldest claim.",
        "amount": format_amount(figures.amount, payment.currency),
        "currency": payment.currency,
        "credits": [
            allocation_figures(part, payment.currency)
            | {
                "title": part.lot.entry.asset.title,
                "draw_priority": part.lot.draw_priority,
                "spendable_until": format_timestamp(part.lot.spendable_until),
                "claimed_at": format_timestamp(part.lot.opened_at),
                "drawn_before_next_by": reason,
            }
            for part, reason in zip(parts, [*reasons, None], strict=False)
        ],
    }


def drawn_before(lot: Any, following: Any) -> str:
    """Return which rule of the draw order puts a lot before the following one."""
    if lot.draw_priority != following.draw_priority:
        return "priority"
    if lot.spendable_until != following.spendable_until:
        return "sooner_end"
    return "older_claim"


def payment_proofs(payment: Payment) -> dict[str, Any]:
    """Return the inclusion proof of each movement of the payment, with all its postings. Raises NotSealedYet."""
    return {
        "payment": str(payment.pk),
        "movements": [
            {"id": str(movement.pk), "kind": movement.kind, "proof": inclusion_proof(movement)}
            for movement in payment.movements.all()
        ],
    }
