"""A bounded number of slots for expensive work in one process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.utils.translation import gettext_noop as _

from kernel.refusals import Unavailable

WAIT_SECONDS = 2.0


# After a read for which PostgreSQL worked longer than this, its place stays empty for a time: the machine is others', too.
# Whoever reads one page after the other waits for it, and is not refused.
SHORT_SECONDS, REST_SHARE, MAX_REST_SECONDS = 0.05, 3.0, 1.5


class ReadsBusy(Unavailable):
    code = "busy"
    meaning = _("This process is running as many searches and exports as it can.")
    detail = _("Too many searches and exports are running. Try again in a few seconds.")
    retry_after = 3


@dataclass
class Slots:
    """A number of places that are taken one by one; a context manager takes one.

    Arguments:
        most: how many there are.
        most_waiting: how many threads may wait for one: each that waits is missing elsewhere.
        rests: whether a place stays empty for a time after a long read.
    """

    most: int
    most_waiting: int
    rests: bool
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.most  # by the monotonic clock; a place in use is not in it

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place; raise ReadsBusy when there is none within WAIT_SECONDS, or when too many wait already."""
        self.take()
        begun, own = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            # What this thread did itself, such as a page's template, is no work of PostgreSQL's.
            self.leave(time.monotonic() - begun - (time.thread_time() - own))

    def take(self) -> None:
        """Take a place, and wait for it; raise ReadsBusy."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.changed:
            if self.is_taken_now():
                return
            if self.waiting >= self.most_waiting:
                raise ReadsBusy
            self.waiting += 1
            try:
                while not self.is_taken_now():
                    now = time.monotonic()
                    if now >= deadline:
                        raise ReadsBusy
                    self.changed.wait(min(deadline, *self.free_at) - now if self.free_at else deadline - now)
            finally:
                self.waiting -= 1

    def is_taken_now(self) -> bool:
        """Take a place that is free, if there is one; whoever calls holds `changed`."""
        free = min(self.free_at, default=None)
        if free is None or free > time.monotonic():
            return False
        self.free_at.remove(free)
        return True

    def leave(self, seconds: float) -> None:
        """Give a place back for which PostgreSQL worked so many seconds."""
        rest = min(MAX_REST_SECONDS, REST_SHARE * seconds) if self.rests and seconds > SHORT_SECONDS else 0.0
        with self.changed:
            self.free_at.append(time.monotonic() + rest)
            self.changed.notify()
