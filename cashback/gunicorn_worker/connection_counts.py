"""How many connections each worker of a host has, in memory that the workers share.

The kernel wakes any of the workers for a new connection, often the same one. A worker with most of the connections makes the
others' batches small and its own core the bottleneck, so a worker lets those with fewer connections accept first.
"""

import mmap
from collections.abc import Collection

MAX_WORKERS = 64  # a worker beyond is not counted
NO_WORKER = -1
MANY = 64  # connections


class ConnectionCounts:
    """One number for each worker. Made before the workers are forked; each worker writes its own."""

    def __init__(self) -> None:
        self.counts = memoryview(mmap.mmap(-1, 4 * MAX_WORKERS)).cast("i")
        for place in range(MAX_WORKERS):
            self.counts[place] = NO_WORKER

    def take_place(self, taken: Collection[int | None]) -> int | None:
        """Return the first place that is not taken, now without connections; None if there is none."""
        for place in range(MAX_WORKERS):
            if place not in taken:
                self.counts[place] = 0
                return place
        return None

    def is_ahead(self, place: int) -> bool:
        """Return whether the worker at `place` has more connections than another worker.

        If they have many, an eighth more does not count: when hundreds connect at once, evenness is not worth their wait.
        """
        own = self.counts[place]
        return any(other != NO_WORKER and own > other + (other // 8 if other >= MANY else 0) for other in self.counts)
