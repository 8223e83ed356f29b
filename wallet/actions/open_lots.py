"""Open the lots of claims from before there were lots, in batches, while claims go on."""

import time
from collections.abc import Callable

from kernel.statements import run_statements
from kernel.transactions import atomic_with_retry

BATCH_SIZE = 2_000
# A trigger opens the lots of the next claims, as the tables' owner (lot_triggers.lots_backfilled).
OPEN_LOTS = """
UPDATE ledger_lotbackfill SET batch_size = %(size)s WHERE completed_at IS NULL RETURNING opened, completed_at
"""
REMAINING = "SELECT opened FROM ledger_lotbackfill WHERE completed_at IS NULL"


def open_lots(
    progress: Callable[[int], None] = lambda _: None, batch_size: int = BATCH_SIZE, *, rest: float = 0.0, seconds: float = 1e9
) -> bool:
    """Open lots until all claims have theirs, and return whether they do. Safe to interrupt and to run concurrently.

    Arguments:
        progress: called with the number of lots opened so far.
        rest: pause after each batch, in multiples of its duration, so that claims proceed.
        seconds: after this time the rest is left for the next call.
    """
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        began = time.monotonic()
        opened = open_batch(batch_size)
        if opened is None:
            return True
        progress(opened)
        time.sleep(rest * (time.monotonic() - began))
    return not are_lots_missing()


def are_lots_missing() -> bool:
    """Return whether claims from before there were lots still wait for theirs."""
    return bool(run_statements({"remaining": REMAINING}, {})["remaining"])


@atomic_with_retry(idempotent=True)
def open_batch(size: int) -> int | None:
    """Open the lots of the next `size` claims and return how many were opened in total; None if all claims had theirs."""
    rows = run_statements({"batch": OPEN_LOTS}, {"size": size})["batch"]
    return rows[0].opened if rows else None
