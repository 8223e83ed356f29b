"""The sweep of claimed credits: what is left of an ended credit lapses, dated at its end."""

import math
from typing import Any

from kernel.sql import uuid_array
from kernel.statements import run_statements
from kernel.transactions import atomic_with_retry
from wallet.actions.payment_sql import try_wallets
from wallet.actions.wallet_sweep import BATCH_SIZE, Progress, sweep_in_batches
from wallet.ledger.allocating import Share
from wallet.ledger.recording import NewMovement, record

ENDED = """
SELECT entry_id, user_id, currency FROM ledger_lot WHERE is_open AND spendable_until <= clock_timestamp()
ORDER BY spendable_until, entry_id LIMIT %(limit)s
"""
STILL_OPEN = """
SELECT entry_id, user_id, currency, available FROM ledger_lot
WHERE entry_id = ANY(%(lots)s::uuid[]) AND is_open AND clawback_due = 0 AND spendable_until <= clock_timestamp()
ORDER BY spendable_until, entry_id
"""


def lapse_ended_credits(
    progress: Progress = lambda _: None, batch_size: int = BATCH_SIZE, *, rest: float = 0.0, seconds: float = math.inf
) -> int:
    """Record the lapse of every ended credit, a batch per transaction, and return how many (arguments: wallet_sweep).

    Safe to run twice, concurrently, late or never, because an ended credit cannot be spent. Wallets in use are left for the
    next sweep.
    """
    return sweep_in_batches(lapse_batch, progress, batch_size, rest=rest, seconds=seconds)


@atomic_with_retry(idempotent=True)
def lapse_batch(limit: int) -> tuple[int, int]:
    """Record up to `limit` lapses; return how many ended credits were found and how many of them lapsed."""
    ended = run_statements({"lots": ENDED}, {"limit": limit})["lots"]
    locked = try_wallets([(lot.user_id, lot.currency) for lot in ended])
    turn = [lot.entry_id for lot in ended if (lot.user_id, lot.currency) in locked]
    still_open = run_statements({"lots": STILL_OPEN}, {"lots": uuid_array(turn)})["lots"]
    return len(ended), len(record([lapse_of(lot) for lot in still_open]))


def lapse_of(lot: Any) -> NewMovement:
    """Return the lapse of all that is available in a lot."""
    return NewMovement("LAPSE", lot.user_id, lot.currency, [Share(lot.entry_id, lot.available)], claim_id=lot.entry_id)
