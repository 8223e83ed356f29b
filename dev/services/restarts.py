"""Restarts of parts of the product that stop."""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dev.services.errors import LocalServiceError

POLL_SECONDS = 0.5
FIRST_WAIT_SECONDS = 1.0  # before the first restart; each further one within the window waits twice as long
WINDOW_SECONDS = 60.0
MOST_FAILURES = 5  # within the window; then the part is not restarted any more
FULL_DISK = os.strerror(errno.ENOSPC)
FULL_DISK_WAIT_SECONDS = 5.0


class GaveUp(Exception):  # noqa: N818 - a result of the restarter, not an error of the program
    """A part does not stay up. The text is one sentence about it."""


@dataclass
class RestartablePart:
    """A process or server that should run.

    Arguments:
        name: for messages, at the beginning of a sentence.
        stopped: returns None while it runs, else a description of how it ended, which may be empty.
        start: restarts it; raises LocalServiceError when it does not start.
        precedes_others: whether the parts after it in the list need it, and are not restarted while it is down.
        without: a sentence for when it does not stay up and the others run without it; empty when they cannot.
    """

    name: str
    stopped: Callable[[], str | None]
    start: Callable[[], None]
    precedes_others: bool = False
    without: str = ""
    failures: deque[float] = field(default_factory=deque)
    start_at: float | None = None


class Restarter:
    """Watches parts and restarts those that stopped, with growing delays, until one does not stay up."""

    def __init__(self, parts: Sequence[RestartablePart], say: Callable[[str], None]) -> None:
        self._parts, self._say = list(parts), say

    def run(self) -> None:
        """Watch until a part that the others need does not stay up; raise GaveUp then."""
        while True:
            self.look()
            time.sleep(POLL_SECONDS)

    def look(self) -> None:
        """Check each part once, start those that are due, and raise GaveUp when a required part does not stay up."""
        for part in list(self._parts):
            if not self._is_up(part) and part.precedes_others:
                return

    def _is_up(self, part: RestartablePart) -> bool:
        if part.start_at is None:
            how = part.stopped()
            if how is not None:
                self._plan(part, f"{part.name} stopped{f' ({how})' if how else ''}")
        elif time.monotonic() >= part.start_at:
            self._start(part)
        return part.start_at is None

    def _start(self, part: RestartablePart) -> None:
        try:
            part.start()
        except LocalServiceError as refusal:
            self._plan(part, str(refusal).rstrip("."))
        else:
            part.start_at = None
            self._say(f"{part.name} is started again.")

    def _plan(self, part: RestartablePart, what: str) -> None:
        now = time.monotonic()
        wait = FULL_DISK_WAIT_SECONDS
        # The part itself has not failed: an operator can free space.
        if FULL_DISK not in what:
            part.failures.append(now)
            while now - part.failures[0] > WINDOW_SECONDS:
                part.failures.popleft()
            if len(part.failures) >= MOST_FAILURES:
                self._give_up(part, what)
                return
            wait = FIRST_WAIT_SECONDS * 2 ** (len(part.failures) - 1)
        part.start_at = now + wait
        self._say(f"{what}; starting it again in {wait:g} s.")

    def _give_up(self, part: RestartablePart, what: str) -> None:
        message = f"{what}, for the {MOST_FAILURES}th time within a minute"
        if not part.without:
            raise GaveUp(f"{message}: it is not started again, and everything else is stopped.")
        self._parts.remove(part)
        self._say(f"{message}: it is not started again. {part.without}")
