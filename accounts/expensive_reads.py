"""Reads whose cost grows with the tables: which there are at once, how often one person asks, and how long each may take.

A search through a large table and a file of all its rows take a core of PostgreSQL for as long as they last. They have few
places in each process, they wait for one without a connection, and the rest of the pool stays for everybody else. Who names an
expensive read is the interface: see where SEARCH and EXPORT are named. A replica, when there is one, would be chosen here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from psycopg.pq import TransactionStatus

from accounts import throttles
from accounts.models import User
from kernel.batching import release_connection
from kernel.slots import ReadsBusy, Slots
from kernel.sql import EXPORT_LOCK

View = TypeVar("View", bound=Callable[..., Any])

# A time limit for each statement, and one core: PostgreSQL would lend others to a scan.
LIMITS = "SELECT set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', '0', true), {lock}"


@dataclass(frozen=True)
class ExpensiveRead:
    """One kind of expensive read.

    Arguments:
        rate: its name in settings.RATES.
        places: the slots of this process.
        time_limit: the name of the setting that limits each of its statements, in ms.
        lock: the key of an advisory lock (see kernel.sql) where all processes of the database together run one at a time.
    """

    rate: str
    places: Slots
    time_limit: str
    lock: str | None = None

    @contextmanager
    def by(self, user: User) -> Iterator[None]:
        """Let `user` read, in a transaction with a time limit; within another expensive read this is part of that.

        Raises RateLimited, ReadsBusy.
        """
        if _under_way.get():
            yield
            return
        throttles.check_rate(self.rate, f"user:{user.pk}")
        release_connection()
        with self.places.taken(), marked_as_expensive(), transaction.atomic():
            with connection.cursor() as cursor:
                lock = f"pg_try_advisory_xact_lock({self.lock})" if self.lock else "true"
                cursor.execute(LIMITS.format(lock=lock), [str(getattr(settings, self.time_limit))])
                *_, is_alone = cursor.fetchone()
            if not is_alone:
                raise ReadsBusy
            try:
                yield
            finally:
                # What the interface answered already, such as a statement that took too long, ends the transaction too.
                if connection.connection and connection.connection.info.transaction_status == TransactionStatus.INERROR:
                    transaction.set_rollback(True)


_under_way: ContextVar[bool] = ContextVar("expensive_read_under_way", default=False)


@contextmanager
def marked_as_expensive() -> Iterator[None]:
    """Note that what is done within is an expensive read."""
    before = _under_way.set(True)
    try:
        yield
    finally:
        _under_way.reset(before)


# A process has 24 threads and 8 connections: places and waiting together leave most of both to claims.
SEARCH = ExpensiveRead(
    "search", Slots(most=settings.SEARCHES_AT_ONCE, most_waiting=8, share=settings.SEARCH_SHARE), "SEARCH_TIMEOUT_MS"
)
EXPORT = ExpensiveRead("export", Slots(most=1, most_waiting=2, share=settings.EXPORT_SHARE), "EXPORT_TIMEOUT_MS", EXPORT_LOCK)


def expensive_read_view(kind: ExpensiveRead, when: Callable[[HttpRequest], bool] = lambda _: True) -> Callable[[View], View]:
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
