"""A bounded number of slots for expensive work in one process."""

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
    """A number of slots that are taken one by one; a context manager takes one.

    Arguments:
        most: how many there are.
        most_waiting: how many threads may wait for one: each that waits is missing elsewhere.
        share: what part of the time PostgreSQL may work for all of them together, as a part of one core: after long reads
            a slot stays empty until this holds again, up to MAX_REST_SECONDS. 1.0: no slot ever rests.
    """

    most: int
    most_waiting: int
    share: float = 1.0
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: int = 0
    spent: float = 0.0  # seconds that PostgreSQL worked and that are not made up for, at `spent_at`
    spent_at: float = 0.0

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.most  # by the monotonic clock; a slot in use is not in it

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot; raise ReadsBusy when there is none within WAIT_SECONDS, or when too many wait already."""
        self.take()
        begun, own = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            # What this thread did itself, such as a page's template, is no work of PostgreSQL's.
            self.leave(time.monotonic() - begun - (time.thread_time() - own))

    def take(self) -> None:
        """Take a slot, and wait for it; raise ReadsBusy."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.changed:
            if self.is_taken_now():
                return
            if self.waiting >= self.most_waiting:
                raise ReadsBusy(self.rest_left())
            self.waiting += 1
            try:
                while not self.is_taken_now():
                    now = time.monotonic()
                    if now >= deadline:
                        raise ReadsBusy(self.rest_left())
                    self.changed.wait(min(deadline, *self.free_at) - now if self.free_at else deadline - now)
            finally:
                self.waiting -= 1

    def is_taken_now(self) -> bool:
        """Take a slot that is free, if there is one; the caller holds `changed`."""
        free = min(self.free_at, default=None)
        if free is None or free > time.monotonic():
            return False
        self.free_at.remove(free)
        return True

    def rest_left(self) -> float:
        """Return the seconds until a slot that rests is free, 0 when all are in use; the caller holds `changed`."""
        return max(0.0, min(self.free_at, default=0.0) - time.monotonic())

    def leave(self, seconds: float) -> None:
        """Give a slot back for which PostgreSQL worked so many seconds."""
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
