"""Slots: a bounded number of threads of one process that do expensive work at the same time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from django.utils.translation import gettext_noop as _

from kernel.refusals import Unavailable

WAIT_SECONDS = 4.0  # for a slot
MAX_REST_SECONDS = 10.0  # of a slot: whoever comes meanwhile waits, or is told for how long
SHORT_SECONDS = 0.05  # a read for which PostgreSQL worked no longer than this costs nothing
CREDIT_SECONDS = 0.5  # of work that needs no rest: the first pages of a reader


class ReadsBusy(Unavailable):
    code = "busy"
    meaning = _("This process is running as many searches and exports as it can.")
    detail = _("Too many searches and exports are running. Try again in a few seconds.")
    retry_after = 3

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.retry_after = max(type(self).retry_after or 0, ceil(seconds))  # type: ignore[misc]


@dataclass
class Slots:
    """A number of slots; `slot` is a context manager that holds one.

    Arguments:
        count: the number of slots.
        max_waiting: how many threads may wait for a slot; a waiting thread serves no other request.
        share: what part of the time PostgreSQL may work for all of them together, as a part of one core: after long reads
            a slot stays empty until this holds again, up to MAX_REST_SECONDS. 1.0: no slot ever rests.
    """

    count: int
    max_waiting: int
    share: float = 1.0
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: int = 0
    spent: float = 0.0  # seconds that PostgreSQL worked and that are not made up for, at `spent_at`
    spent_at: float = 0.0

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
                raise ReadsBusy(self.rest_left())
            self.waiting += 1
            try:
                while not self._try_acquire():
                    now = time.monotonic()
                    if now >= deadline:
                        raise ReadsBusy(self.rest_left())
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

    def rest_left(self) -> float:
        """Return the seconds until a slot that rests is free, 0 when all are in use; the caller holds `changed`."""
        return max(0.0, min(self.free_at, default=0.0) - time.monotonic())

    def release(self, seconds: float) -> None:
        """Return a slot after a read that took PostgreSQL this long."""
        with self.changed:
            self.free_at.append(time.monotonic() + self.rest_after(seconds))
            self.changed.notify()

    def rest_after(self, seconds: float) -> float:
        """Note that PostgreSQL worked so long, and return the seconds to rest; the caller holds `changed`."""
        if self.share >= 1.0 or seconds <= SHORT_SECONDS:
            return 0.0
        now = time.monotonic()
        spent = max(0.0, self.spent - self.share * (now - self.spent_at)) + seconds
        # No more than the longest rest makes up for: who comes after an attack does not wait for what it cost.
        self.spent, self.spent_at = min(spent, CREDIT_SECONDS + self.share * MAX_REST_SECONDS), now
        return max(0.0, self.spent - CREDIT_SECONDS) / self.share
