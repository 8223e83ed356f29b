"""How an act meets other people's: one transaction, run again after a conflict, `Busy` when it cannot be done now."""

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
BATCH_LOCK_TIMEOUT_MS = 50  # how long many wait for a lock that one of them wants
# PostgreSQL, appendix A: nothing of the transaction stayed, and the same again may pass. 25006: a write met a standby, and
# the session is closed (cashback/database); the next one may be with the primary.
CONFLICT_SQLSTATES = {"40P01", "40001", "25006"}
# The server will not wait or take more: lock, statement, too many connections, out of memory or disk, shutting down.
OVERLOAD_SQLSTATES = {"55P03", "57014", "53000", "53100", "53200", "53300"}
# The connection ended; at COMMIT nobody knows on which side of it.
CONNECTION_LOSS_SQLSTATES = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}


class Busy(Unavailable):
    code = "busy"
    meaning = _("The server cannot complete the request now. A retry with the same Idempotency-Key is never processed twice.")
    detail = _("The server is very busy. Try again in a second, with the same Idempotency-Key if you sent one.")
    retry_after = 1


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's five-character code of a Django database error; None when the connection gave none."""
    return getattr(error.__cause__, "sqlstate", None)


def violated_constraint(error: BaseException) -> str:
    """Return the name of the constraint (or trigger's rule) that an IntegrityError broke."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def is_connection_lost(error: BaseException) -> bool:
    """Tell whether the connection ended, so that the outcome of a COMMIT is unknown."""
    code = sqlstate(error)
    if code is None and not is_pool_exhausted(error):
        return isinstance(error, (OperationalError, InterfaceError))
    return code is not None and (code in CONNECTION_LOSS_SQLSTATES or code.startswith("08"))


def is_overload(error: BaseException) -> bool:
    """Tell whether the server refused to wait or to take more, or no connection was free."""
    return sqlstate(error) in OVERLOAD_SQLSTATES or is_pool_exhausted(error)


def is_pool_exhausted(error: BaseException) -> bool:
    """Tell whether all connections of this process were taken for as long as the pool waits."""
    return isinstance(error.__cause__, PoolTimeout)


def is_retryable(error: Exception, idempotent: bool) -> bool:
    """Tell whether the same act may be run again now; closes a connection that is of no more use."""
    if isinstance(error, Busy):
        return True
    if is_connection_lost(error):
        connection.close()
        return idempotent
    return sqlstate(error) in CONFLICT_SQLSTATES


def atomic_with_retry(*, idempotent: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function one act: one durable transaction, at most 3 tries with jitter, `Busy` when none of them passed.

    Arguments:
        idempotent: running it twice is running it once (it holds a key, or its row says it was done), so that a lost
            connection may be answered by another try.

    The function may raise `Busy` itself to be tried again. Refusals and broken rules pass through; nothing stays.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                try:
                    with transaction.atomic(durable=True):
                        return function(*args, **kwargs)
                except (Busy, DatabaseError, InterfaceError) as error:
                    again = is_retryable(error, idempotent)
                    if not again and not is_connection_lost(error) and not is_overload(error):
                        raise
                    if not again or attempt == MAX_ATTEMPTS:
                        raise (error if isinstance(error, Busy) else Busy()) from error
                    time.sleep(random.uniform(0.2, 1) * 0.01 * 2**attempt)  # noqa: S311  (jitter, not a secret)
            raise AssertionError("unreachable: every attempt returns or raises")

        return run

    return decorate
