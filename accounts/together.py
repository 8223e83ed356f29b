"""Callers who come at the same moment are served by one call: the first of them makes it for all."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import OperationalError, connection
from psycopg_pool import PoolTimeout

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

MOST = 64  # in one call: more would only make the first wait for the last
PATIENCE_SECONDS = 10.0  # longer than a statement may take; then who leads is taken for lost, and each goes alone


class Alone(Exception):
    """What a caller asked cannot be answered in company: it is asked again by itself, with all its patience."""


class Seat(Generic[Asked, Answer]):
    """One caller: what it asks and, once somebody asked for it, the answer or the exception to raise."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.outcome: Answer | Exception | None = None
        self.served = False
        self.called = threading.Lock()
        self.called.acquire()


class Together(Generic[Asked, Answer]):
    """Gathers the threads of this process into calls for many.

    Nobody waits for company: who finds no call under way makes one at once, and whoever comes meanwhile is the next one's.
    Each call is made in the thread of the caller who leads it, so there is no thread of our own to start, watch or lose.

    Arguments:
        act: answers many at once: an answer or an exception for each, in their order. It must not wait for others' locks,
            for everybody waits for it. When it raises, each is asked alone: what it did before must bear being done again.
        alone: answers one, in the caller's own thread, with whatever patience it takes. Asked, too, when a call does not end:
            what was asked for may then be done twice.
        most: how many are asked for in one call.
        uses_database: whether a call takes a connection, which its leader gives back before anything else.
    """

    def __init__(
        self,
        act: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        alone: Callable[[Asked], Answer],
        most: int = MOST,
        uses_database: bool = True,
    ) -> None:
        self.act, self.alone, self.most, self.uses_database = act, alone, most, uses_database
        self.mutex = threading.Lock()
        self.seats: deque[Seat[Asked, Answer]] = deque()
        self.led = False

    def ask(self, asked: Asked) -> Answer:
        """Return the answer to `asked`, or raise the exception that it came to."""
        seat: Seat[Asked, Answer] = Seat(asked)
        with self.mutex:
            self.seats.append(seat)
            waits, self.led = self.led, True
        if waits and not seat.called.acquire(timeout=PATIENCE_SECONDS) and self.left(seat):
            return self.alone(asked)
        if not seat.served:
            self.lead()
        if isinstance(seat.outcome, Alone):
            return self.alone(asked)
        if isinstance(seat.outcome, Exception):
            raise seat.outcome
        return cast(Answer, seat.outcome)

    def lead(self) -> None:
        """Ask for everybody who is seated, this thread's own caller first, and call the next leader."""
        with self.mutex:
            group = [self.seats.popleft() for _ in range(min(len(self.seats), self.most))]
        outcomes: list[Any] = [Alone() for _ in group]
        try:
            answers = self.act([seat.asked for seat in group])
            outcomes = [answer for answer, _ in zip(answers, group, strict=True)]
        except OperationalError as error:
            # Who has waited in vain for a connection need not wait for another one.
            if isinstance(error.__cause__, PoolTimeout):
                outcomes = [error for _ in group]
        except Exception:  # noqa: BLE001, S110  (each meets it again alone, where it is told)
            pass
        finally:
            try:
                if self.uses_database:
                    give_back_connection()
            finally:
                self.hand_on()
                for seat, outcome in zip(group, outcomes, strict=True):
                    seat.outcome, seat.served = outcome, True
                    seat.called.release()

    def left(self, seat: Seat[Asked, Answer]) -> bool:
        """Give up a seat and return True, unless it was called at this very moment."""
        with self.mutex:
            if seat.called.acquire(blocking=False):
                return False
            if seat in self.seats:
                self.seats.remove(seat)
            return True

    def hand_on(self) -> None:
        """Have the next one in the row lead."""
        with self.mutex:
            self.led = bool(self.seats)
            if self.seats:
                self.seats[0].called.release()


def give_back_connection() -> None:
    """Return this thread's connection to the pool, if there is one: nobody who waits for others holds a connection."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
