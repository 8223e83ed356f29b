"""What a refund would bring back now, credit by credit, before anybody asks for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from wallet.actions.refund_payment import is_renewed
from wallet.ledger.allocating import allocate, refund_order

PARTS = """
SELECT part.lot_id, part.position, part.captured, part.refunded, lot.spendable_until, lot.renewals, lot.available,
    lot.held AS lot_held, lot.lapsed, lot.refund_grace_days, lot.clawback_due, asset.title, clock_timestamp() AS now
FROM ledger_allocation AS part JOIN ledger_lot AS lot ON lot.entry_id = part.lot_id
JOIN ledger_entry AS entry ON entry.id = lot.entry_id JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
WHERE part.payment_id = %(payment)s
"""


class Outcome(StrEnum):
    """What becomes of refunded credit."""

    SPENDABLE = "SPENDABLE"
    RENEWED = "RENEWED"
    LAPSES = "LAPSES"
    TAKEN_BACK = "TAKEN_BACK"


@dataclass(frozen=True)
class ReturnedCredit:
    """What comes back to one credit, and until when it can then be spent; None: it never ends."""

    claim_id: UUID
    title: str
    amount: Decimal
    outcome: Outcome
    ended_at: datetime | None
    spendable_until: datetime | None
    grace_days: int


def preview_refund(payment_id: UUID, amount: Decimal) -> list[ReturnedCredit]:
    """Return what a refund of `amount` would bring back now, in its order; less when less can be refunded. Writes nothing."""
    parts = {part.lot_id: part for part in run_statements({"parts": PARTS}, {"payment": payment_id})["parts"]}
    shares = allocate(refund_order(list(parts.values())), amount)
    return [returned for share in shares for returned in returned_credits(parts[share.lot_id], share.amount)]


def returned_credits(part: Any, amount: Decimal) -> list[ReturnedCredit]:
    """Return what becomes of an amount that comes back to a credit: a clawback takes what it is owed first."""
    taken = min(amount, part.clawback_due)
    portions = [(taken, Outcome.TAKEN_BACK), (amount - taken, outcome_of(part))]
    return [describe_return(part, portion, outcome) for portion, outcome in portions if portion]


def outcome_of(part: Any) -> Outcome:
    """Return what becomes of credit that comes back and is not taken."""
    if part.spendable_until is None or part.spendable_until > part.now:
        return Outcome.SPENDABLE
    return Outcome.RENEWED if is_renewed(part, part.now) else Outcome.LAPSES


def describe_return(part: Any, amount: Decimal, outcome: Outcome) -> ReturnedCredit:
    """Return one line of the preview."""
    renewed_until = part.now + timedelta(days=part.refund_grace_days)
    return ReturnedCredit(
        claim_id=part.lot_id,
        title=part.title,
        amount=amount,
        outcome=outcome,
        ended_at=None if outcome == Outcome.SPENDABLE else part.spendable_until,
        spendable_until=renewed_until if outcome == Outcome.RENEWED else part.spendable_until,
        grace_days=part.refund_grace_days,
    )
