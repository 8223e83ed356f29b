"""Transactions that are retried after conflicts, and the classification of database errors by SQLSTATE."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils.translation import gettext_noop as _
from psycopg_pool import PoolTimeout

from kernel.refusals import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

MAX_ATTEMPTS = 3
BATCH_LOCK_TIMEOUT_MS = 50  # how long a batch waits for a lock that one of its items needs
# Error codes: PostgreSQL's documentation, appendix A. After a conflict the transaction was rolled back and may succeed when it
# runs again. 25006: a write reached a standby; the session is closed (cashback/database), and the next may reach the primary.
CONFLICT_SQLSTATES = {"40P01", "40001", "25006"}
# The server gave up waiting (lock, statement) or lacks resources (memory, disk, connections).
OVERLOAD_SQLSTATES = {"55P03", "57014", "53000", "53100", "53200", "53300"}
# The connection was closed; if that happened during COMMIT, its outcome is unknown.
CONNECTION_LOSS_SQLSTATES = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}


class Busy(Unavailable):
    code = "busy"
    meaning = _("The server cannot complete the request now. A retry with the same Idempotency-Key is never processed twice.")
    detail = _("The server is very busy. Try again in a second, with the same Idempotency-Key if you sent one.")
    retry_after = 1


def sqlstate(error: BaseException) -> str | None:
    """Return the five-character SQLSTATE of a Django database error; None if the server sent none."""
    return getattr(error.__cause__, "sqlstate", None)


def violated_constraint(error: BaseException) -> str:
    """Return the name of the constraint, or of the trigger's rule, that an IntegrityError violates."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def violation_detail(error: BaseException) -> str:
    """Return the detail that the rule of a trigger gives for its violation."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "message_detail", None) or ""


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the connection was lost, so that the outcome of a COMMIT is unknown."""
    code = sqlstate(error)
    if code is None and not is_pool_exhausted(error):
        return isinstance(error, (OperationalError, InterfaceError))
    return code is not None and (code in CONNECTION_LOSS_SQLSTATES or code.startswith("08"))


def is_overload(error: BaseException) -> bool:
    """Return whether the server gave up waiting or lacked resources, or no connection was free."""
    return sqlstate(error) in OVERLOAD_SQLSTATES or is_pool_exhausted(error)


def is_pool_exhausted(error: BaseException) -> bool:
    """Return whether no connection of the pool became free within its timeout."""
    return isinstance(error.__cause__, PoolTimeout)


def is_retryable(error: Exception, idempotent: bool) -> bool:
    """Return whether the action may be retried now. Side effect: closes a lost connection."""
    if isinstance(error, Busy):
        return True
    if is_connection_lost(error):
        connection.close()
        return idempotent
    return sqlstate(error) in CONFLICT_SQLSTATES


def atomic_with_retry(*, idempotent: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function an action: one durable transaction, up to MAX_ATTEMPTS attempts with jitter, then `Busy`.

    Arguments:
        idempotent: whether running the function twice has the effect of running it once (it holds an idempotency key, or its
            row shows that it is done). Only then is it retried after a lost connection.

    The function may raise `Busy` itself to be retried. Refusals and constraint violations are raised to the caller after the
    rollback.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                try:
                    with transaction.atomic(durable=True):
                        return function(*args, **kwargs)
                except (Busy, DatabaseError, InterfaceError) as error:
                    retryable = is_retryable(error, idempotent)
                    if not retryable and not is_connection_lost(error) and not is_overload(error):
                        raise
                    if not retryable or attempt == MAX_ATTEMPTS:
                        raise (error if isinstance(error, Busy) else Busy()) from error
                    time.sleep(random.uniform(0.2, 1) * 0.01 * 2**attempt)  # noqa: S311  (jitter, not a secret)
            raise AssertionError("unreachable: every attempt returns or raises")

        return run

    return decorate
