"""End holds that are over: their credit goes back, dated at the time at which they ended."""

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from kernel.sql import uuid_array
from kernel.statements import run_statements
from kernel.transactions import atomic_with_retry
from wallet.actions.payment_sql import try_wallets
from wallet.actions.returned_credit import settle_returned_credit
from wallet.actions.wallet_sweep import BATCH_SIZE, Progress, sweep_in_batches
from wallet.ledger.allocating import capture_order
from wallet.ledger.recording import NewMovement, record

OVER = """
SELECT id, user_id, currency FROM ledger_payment WHERE is_held AND held_until <= clock_timestamp()
ORDER BY held_until, id LIMIT %(limit)s
"""
STILL_HELD = """
SELECT payment.id, payment.user_id, payment.currency, payment.service_id, part.lot_id, part.position, part.held, part.captured,
    part.refunded
FROM ledger_payment AS payment JOIN ledger_allocation AS part ON part.payment_id = payment.id
WHERE payment.id = ANY(%(payments)s::uuid[]) AND payment.is_held AND payment.held_until <= clock_timestamp() AND part.held > 0
ORDER BY payment.held_until, payment.id
"""


def end_due_holds(
    progress: Progress = lambda _: None, batch_size: int = BATCH_SIZE, *, rest: float = 0.0, seconds: float = math.inf
) -> int:
    """End every hold that is over, a batch per transaction, and return how many (arguments: wallet_sweep).

    Wallets in use are left for the next sweep.
    """
    return sweep_in_batches(end_hold_batch, progress, batch_size, rest=rest, seconds=seconds)


@atomic_with_retry(idempotent=True)
def end_hold_batch(limit: int) -> tuple[int, int]:
    """End up to `limit` holds; return how many were found and how many of them were ended."""
    over = run_statements({"over": OVER}, {"limit": limit})["over"]
    locked = try_wallets([(row.user_id, row.currency) for row in over])
    return len(over), release_holds([row.id for row in over if (row.user_id, row.currency) in locked])


def release_holds(payments: Sequence[UUID]) -> int:
    """Release what these payments still hold after their end, in their wallets' turns; return how many payments that were."""
    parts = run_statements({"parts": STILL_HELD}, {"payments": uuid_array(payments)})["parts"]
    releases = [release_of([part for part in parts if part.id == payment]) for payment in dict.fromkeys(p.id for p in parts)]
    record(releases)
    settle_returned_credit({part.lot_id for part in parts})
    return len(releases)


def release_of(parts: Sequence[Any], **fields: Any) -> NewMovement:
    """Return the release of all that a payment holds. Its date is the end of the hold, if that has passed."""
    payment, shares = parts[0], capture_order(parts)
    return NewMovement(
        "RELEASE", payment.user_id, payment.currency, shares, payment_id=payment.id, service_id=payment.service_id, **fields
    )
