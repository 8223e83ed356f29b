"""Reads whose cost grows with the tables: which there are at once, how often one person asks, and how long each may take.

A search through a large table and a file of all its rows take a core of PostgreSQL for as long as they last. They have few
places in each process, they wait for one without a connection, and the rest of the pool stays for everybody else. Who names an
expensive read is the interface: see where SEARCH and EXPORT are named. A replica, when there is one, would be chosen here.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from psycopg.pq import TransactionStatus

from accounts import throttles
from accounts.models import User
from accounts.refusals import Refusal
from accounts.together import give_back_connection

View = TypeVar("View", bound=Callable[..., Any])

WAIT_SECONDS = 2.0
# After a read for which PostgreSQL worked longer than this, its place stays empty for a time: the machine is others', too.
# Whoever reads one page after the other waits for it, and is not refused.
SHORT_SECONDS, REST_SHARE, MOST_REST_SECONDS = 0.05, 3.0, 1.5
# A time limit for the whole statement, and one core: PostgreSQL would lend others to a scan.
LIMITS = "SELECT set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', '0', true)"


class ReadsBusy(Refusal):
    """As many expensive reads as this process takes are under way."""

    code = "busy"
    detail = "Too many searches and exports are running at this moment. Try again in a few seconds."
    retry_after = 3


@dataclass
class Places:
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
        rest = min(MOST_REST_SECONDS, REST_SHARE * seconds) if self.rests and seconds > SHORT_SECONDS else 0.0
        with self.changed:
            self.free_at.append(time.monotonic() + rest)
            self.changed.notify()


@dataclass(frozen=True)
class ExpensiveRead:
    """One kind of expensive read: its name in settings.RATES, its places, and the setting of its time limit in ms."""

    rate: str
    places: Places
    time_limit: str

    @contextmanager
    def by(self, user: User) -> Iterator[None]:
        """Let `user` read, in a transaction with a time limit; within another expensive read this is part of that.

        Raises RateLimited, ReadsBusy.
        """
        if _under_way.get():
            yield
            return
        throttles.check(self.rate, f"user:{user.pk}")
        give_back_connection()
        with self.places.taken(), under_way(), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LIMITS, [str(getattr(settings, self.time_limit))])
            try:
                yield
            finally:
                # What the interface answered already, such as a statement that took too long, ends the transaction too.
                if connection.connection and connection.connection.info.transaction_status == TransactionStatus.INERROR:
                    transaction.set_rollback(True)


_under_way: ContextVar[bool] = ContextVar("expensive_read_under_way", default=False)


@contextmanager
def under_way() -> Iterator[None]:
    """Note that what is done within is an expensive read."""
    before = _under_way.set(True)
    try:
        yield
    finally:
        _under_way.reset(before)


# A process has 24 threads and 8 connections: places and waiting together leave most of both to claims.
SEARCH = ExpensiveRead("search", Places(most=settings.SEARCHES_AT_ONCE, most_waiting=8, rests=True), "SEARCH_TIMEOUT_MS")
EXPORT = ExpensiveRead("export", Places(most=1, most_waiting=2, rests=True), "EXPORT_TIMEOUT_MS")


def expensive(kind: ExpensiveRead, when: Callable[[HttpRequest], bool] = lambda _: True) -> Callable[[View], View]:
    """Make a view of somebody signed in an expensive read when the request is one; its template is rendered within it."""

    def decorate(view: View) -> View:
        @wraps(view)
        def reading(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(request.user, User) or not when(request) or _under_way.get():
                return view(request, *args, **kwargs)
            with kind.by(request.user):
                answer = view(request, *args, **kwargs)
                return answer.render() if hasattr(answer, "render") else answer

        return cast(View, reading)

    return decorate
