"""Limits of expensive reads, whose cost grows with the tables: concurrency, rate per user, statement timeout.

A search of a large table, or an export of all its rows, keeps one core of PostgreSQL busy. Each process has few slots for them,
and a request waits for a slot without a connection, so that most connections remain for other requests. Interfaces declare
their expensive reads with SEARCH and EXPORT. Where there is a replica, it is chosen here (kernel.replicas).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import connections, transaction
from django.http import HttpRequest
from psycopg.pq import TransactionStatus

from accounts import throttles
from accounts.models import User
from kernel import replicas
from kernel.batching import release_connection
from kernel.slots import ReadsBusy, Slots
from kernel.sql import EXPORT_LOCK

View = TypeVar("View", bound=Callable[..., Any])

# A timeout for each statement. That it uses one core is a setting of all sessions.
SET_LIMITS = "SELECT set_config('statement_timeout', %s, true)"
LIMIT_EACH = f"{SET_LIMITS}, true"
LIMIT_AND_LOCK = f"{SET_LIMITS}, pg_try_advisory_xact_lock({EXPORT_LOCK})"


@dataclass(frozen=True)
class ExpensiveRead:
    """One kind of expensive read.

    Arguments:
        rate: its name in settings.RATES.
        slots: the slots of this process.
        timeout_setting: the name of the setting that limits each of its statements, in ms.
        begin: the first statement of its transaction; with LIMIT_AND_LOCK all processes of the database run one at a time.
    """

    rate: str
    slots: Slots
    timeout_setting: str
    begin: str = LIMIT_EACH

    @contextmanager
    def for_user(self, user: User) -> Iterator[None]:
        """Run the block's queries for `user` in a slot and in a transaction with a statement timeout.

        Within another expensive read it has no effect. Raises RateLimited, ReadsBusy.
        """
        if _in_expensive_read.get():
            yield
            return
        is_repetition = replicas.is_repetition()
        if not is_repetition:
            throttles.check_rate(self.rate, f"user:{user.pk}")
        release_connection()
        server = replicas.choose_server()
        slot: AbstractContextManager[None] = nullcontext() if is_repetition else self.slots.slot()
        with slot, marked_as_expensive(), replicas.reading_from(server), transaction.atomic(using=server):
            connection = connections[server]
            with connection.cursor() as cursor:
                cursor.execute(self.begin, [str(getattr(settings, self.timeout_setting))])
                *_, is_alone = cursor.fetchone()
            if not is_alone:
                raise ReadsBusy
            try:
                yield
            finally:
                # The interface may have handled an error that aborted the transaction, such as a statement timeout.
                if connection.connection and connection.connection.info.transaction_status == TransactionStatus.INERROR:
                    transaction.set_rollback(True, using=server)


_in_expensive_read: ContextVar[bool] = ContextVar("in_expensive_read", default=False)


@contextmanager
def marked_as_expensive() -> Iterator[None]:
    """Mark the block as part of an expensive read."""
    token = _in_expensive_read.set(True)
    try:
        yield
    finally:
        _in_expensive_read.reset(token)


# A process has 24 threads and 8 connections; slots and waiting threads leave most of both to claims.
SEARCH = ExpensiveRead(
    "search", Slots(count=settings.SEARCHES_AT_ONCE, max_waiting=8, share=settings.SEARCH_SHARE), "SEARCH_TIMEOUT_MS"
)
# Files of users with their own data: few rows each, found by indexes. Their slots are not those of operators' exports.
PERSONAL_DATA = ExpensiveRead("personal_data", Slots(count=1, max_waiting=2, share=settings.SEARCH_SHARE), "SEARCH_TIMEOUT_MS")
EXPORT = ExpensiveRead(
    "export", Slots(count=1, max_waiting=2, share=settings.EXPORT_SHARE), "EXPORT_TIMEOUT_MS", LIMIT_AND_LOCK
)


def expensive_read_view(
    kind: ExpensiveRead, condition: Callable[[HttpRequest], bool] = lambda _: True
) -> Callable[[View], View]:
    """Run a view, and render its template, as an expensive read if the user is signed in and `condition` holds."""

    def decorate(view: View) -> View:
        @wraps(view)
        def limited_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(request.user, User) or not condition(request) or _in_expensive_read.get():
                return view(request, *args, **kwargs)
            with kind.for_user(request.user):
                response = view(request, *args, **kwargs)
                return response.render() if hasattr(response, "render") else response

        return cast(View, limited_view)

    return decorate
