"""Slots: a bounded number of threads of one process that do expensive work at the same time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kernel.refusals import Refusal

WAIT_SECONDS = 2.0
# After a read that took PostgreSQL longer than SHORT_SECONDS its slot rests for REST_FACTOR times as long, so that reads do not
# take the whole machine. A user who reads page after page waits for the slot and is not refused.
SHORT_SECONDS, REST_FACTOR, MAX_REST_SECONDS = 0.05, 3.0, 1.5


class ReadsBusy(Refusal):
    """All slots of this process are in use."""

    code = "busy"
    detail = "Too many searches and exports are running at this moment. Try again in a few seconds."
    retry_after = 3


@dataclass
class Slots:
    """A number of slots; `slot` is a context manager that holds one.

    Arguments:
        count: the number of slots.
        max_waiting: how many threads may wait for a slot; a waiting thread serves no other request.
        rests: whether a slot stays empty for some time after a long read.
    """

    count: int
    max_waiting: int
    rests: bool
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.count  # monotonic times at which the free slots may be used; slots in use are not listed

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot; raise ReadsBusy if none is free within WAIT_SECONDS, or if too many threads wait already."""
        self.acquire()
        started, own_start = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            # The thread's own work, such as rendering a template, is not PostgreSQL's.
            self.release(time.monotonic() - started - (time.thread_time() - own_start))

    def acquire(self) -> None:
        """Take a slot, waiting for one if necessary; raise ReadsBusy."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.changed:
            if self._try_acquire():
                return
            if self.waiting >= self.max_waiting:
                raise ReadsBusy
            self.waiting += 1
            try:
                while not self._try_acquire():
                    now = time.monotonic()
                    if now >= deadline:
                        raise ReadsBusy
                    self.changed.wait(min(deadline, *self.free_at) - now if self.free_at else deadline - now)
            finally:
                self.waiting -= 1

    def _try_acquire(self) -> bool:
        """Take a free slot and return True, or return False. The caller holds `changed`."""
        earliest = min(self.free_at, default=None)
        if earliest is None or earliest > time.monotonic():
            return False
        self.free_at.remove(earliest)
        return True

    def release(self, seconds: float) -> None:
        """Return a slot after a read that took PostgreSQL this long."""
        rest = min(MAX_REST_SECONDS, REST_FACTOR * seconds) if self.rests and seconds > SHORT_SECONDS else 0.0
        with self.changed:
            self.free_at.append(time.monotonic() + rest)
            self.changed.notify()
