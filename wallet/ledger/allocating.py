"""Which credits bear an amount, and in which order: pure functions, without SQL or clock."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

FOR_EVER = datetime.max.replace(tzinfo=UTC)
# The same order as `draw_order`, for SQL: a lot that never ends comes last, as NULL does.
DRAW_ORDER_SQL = "lot.draw_priority, lot.spendable_until, lot.opened_at, lot.entry_id"


class Share(NamedTuple):
    """What one lot bears."""

    lot_id: UUID
    amount: Decimal


def draw_order(lot: Any) -> tuple[int, datetime, datetime, UUID]:
    """Return the sort key of a lot: priority, then soonest end, never-ending last, then oldest claim, then id.

    Arguments:
        lot: a Lot, or a row with its columns.
    """
    return lot.draw_priority, lot.spendable_until or FOR_EVER, lot.opened_at, lot.entry_id


def allocate(available: Iterable[Share], amount: Decimal) -> list[Share]:
    """Return how much each lot bears of `amount`, taking them in the order given; less than `amount` when they hold less."""
    shares, missing = [], amount
    for lot_id, left in available:
        if missing <= 0:
            break
        if left > 0:
            shares.append(Share(lot_id, min(left, missing)))
            missing -= shares[-1].amount
    return shares


def capture_order(parts: Sequence[Any]) -> list[Share]:
    """Return what is held, first drawn first: so it is captured, and the rest goes back to the lots it came from.

    Arguments:
        parts: what each lot bears of a payment: rows of Allocation.
    """
    return [Share(part.lot_id, part.held) for part in sorted(parts, key=lambda part: part.position) if part.held > 0]


def refund_order(parts: Sequence[Any]) -> list[Share]:
    """Return what can be refunded, last drawn first."""
    drawn_last_first = sorted(parts, key=lambda part: part.position, reverse=True)
    return [Share(part.lot_id, part.captured - part.refunded) for part in drawn_last_first if part.captured > part.refunded]


def less(parts: Iterable[Share], taken: Iterable[Share]) -> list[Share]:
    """Return the parts reduced by what was taken of them, without empty ones, in their order."""
    reduced = dict(taken)
    rest = (Share(lot_id, amount - reduced.get(lot_id, Decimal(0))) for lot_id, amount in parts)
    return [share for share in rest if share.amount > 0]


def total(shares: Iterable[Share]) -> Decimal:
    """Return the sum of the shares."""
    return sum((share.amount for share in shares), Decimal(0))
