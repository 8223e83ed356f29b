"""The loop of the sweeps over wallets: a batch per transaction, with pauses in which claims and payments proceed."""

import math
import time
from collections.abc import Callable

BATCH_SIZE = 200
Progress = Callable[[int], None]


def sweep_in_batches(
    run_batch: Callable[[int], tuple[int, int]],
    progress: Progress = lambda _: None,
    batch_size: int = BATCH_SIZE,
    *,
    rest: float = 0.0,
    seconds: float = math.inf,
) -> int:
    """Run batches until nothing more is found, and return how many rows were done in total.

    Arguments:
        run_batch: takes a size and returns how many rows were found, and how many of them were done.
        progress: called with the number of rows that each batch did.
        rest: pause after each batch, in multiples of its duration.
        seconds: after this time the remaining rows are left for the next sweep.
    """
    started, total = time.monotonic(), 0
    while (began := time.monotonic()) - started < seconds:
        found, done = run_batch(batch_size)
        total += done
        progress(done)
        if not done or found < batch_size:
            break
        time.sleep(rest * (time.monotonic() - began))
    return total
