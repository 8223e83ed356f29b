"""Payments for operators: found by indexes, by a state that follows from figures and clock, and one with all its parts."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from kernel.statements import run_statements
from wallet.ledger.models import Payment
from wallet.ledger.payment_state import IN_STATE, IS_HOLDING, Figures, PaymentState
from wallet.queries.person import find_people

CURRENT_HOLDS = "CURRENT_HOLDS"  # holds that have not ended, captured in part or not at all
STATES: dict[str, Q] = {**{str(state): condition for state, condition in IN_STATE.items()}, CURRENT_HOLDS: IS_HOLDING}


def search_payments(payments: QuerySet[Payment], text: str) -> QuerySet[Payment]:
    """Return the payments with this id, of people whose email begins so (with an @), or whose reference begins so."""
    text = text.strip()
    try:
        return payments.filter(pk=UUID(text))
    except ValueError:
        pass
    if "@" in text:
        return payments.filter(user__in=[user.pk for user in find_people(text)])
    return payments.filter(reference__startswith=text)


def state_of(payment: Any, now: Any) -> PaymentState:
    """Return the payment's state at `now`."""
    names = ("amount", "captured", "released", "refunded", "held_until", "released_at")
    return Figures(**{name: getattr(payment, name) for name in names}).state(now)


MOVEMENTS = """
SELECT movement.id, movement.kind, movement.amount, movement.currency, movement.at, movement.reference, movement.reason,
    movement.channel, actor.email AS actor, service.name AS service
FROM ledger_movement AS movement JOIN accounts_service AS service ON service.id = movement.service_id
LEFT JOIN accounts_user AS actor ON actor.id = movement.actor_id
WHERE movement.payment_id = %(payment)s ORDER BY movement.number
"""
ALLOCATIONS = """
SELECT part.lot_id, part.position, part.amount, part.held, part.captured, part.released, part.refunded, asset.title,
    lot.currency, lot.spendable_until
FROM ledger_allocation AS part JOIN ledger_lot AS lot ON lot.entry_id = part.lot_id
JOIN ledger_entry AS entry ON entry.id = lot.entry_id JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
WHERE part.payment_id = %(payment)s ORDER BY part.position
"""


def payment_parts(payment_id: UUID) -> dict[str, list[Any]]:
    """Return the `movements` of a payment by number, its `allocations` in draw order, and the `clock`."""
    statements = {"movements": MOVEMENTS, "allocations": ALLOCATIONS, "clock": "SELECT clock_timestamp() AS now"}
    return run_statements(statements, {"payment": payment_id})
