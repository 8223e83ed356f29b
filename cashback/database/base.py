"""The engine that settings.DATABASES names: Django's own, but for its pool of connections."""

import logging
import select
import time
from collections.abc import Callable
from threading import BoundedSemaphore
from time import monotonic
from types import TracebackType
from typing import Any, ClassVar

from django.db import OperationalError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import ClientCursor, Connection, Cursor
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.pool import AddConnection

from kernel.connection_reservation import may_take_reserved
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
SESSIONS_REPLACED = Fallback("database.sessions_replaced", "the database is read-only; all sessions with it are replaced", log)

RECONNECT_SECONDS = 0.25
READ_ONLY_SERVER = "25006"  # a write met a standby, or a primary that takes no writes
# What ends a session, or leaves it useless, but is an InternalError to psycopg: read-only, idle too long in a transaction,
# a transaction that took too long.
SESSION_ENDS = {READ_ONLY_SERVER, "25P03", "25P04"}
REPLACE_SECONDS = 1.0  # between two times that a pool replaces all its sessions


class Pool(ConnectionPool[Connection[Any]]):
    """A pool that hands out no connection whose server is gone, and asks for a lost one again while somebody waits for it.

    psycopg's own sends a question on each connection before it is used, and sleeps a second, then two, when it finds a second
    one broken: after a failover whoever leads a company would sleep beside connections that are sound again.

    So many of its connections are reserved (kernel.connection_reservation): whatever else the process does, claims find one.
    """

    def __init__(self, *args: Any, reserved: int = 0, **kwargs: Any) -> None:
        """Make a pool as psycopg does."""
        super().__init__(*args, **kwargs)
        self.unreserved = BoundedSemaphore(self.max_size - reserved)
        self.lent_unreserved: set[Connection[Any]] = set()

    def getconn(self, timeout: float | None = None) -> Connection[Any]:
        """Lend a connection; raise PoolTimeout when there is none for this work in time."""
        if may_take_reserved():
            return super().getconn(timeout)
        timeout = self.timeout if timeout is None else timeout
        deadline = monotonic() + timeout
        if not self.unreserved.acquire(timeout=timeout):
            raise PoolTimeout(f"all but the reserved connections were taken for {timeout:.2f} s")
        try:
            lent = super().getconn(max(0.0, deadline - monotonic()))
        except BaseException:
            self.unreserved.release()
            raise
        self.lent_unreserved.add(lent)
        return lent

    def putconn(self, conn: Connection[Any]) -> None:
        """Take a connection back."""
        if conn in self.lent_unreserved:
            self.lent_unreserved.remove(conn)
            self.unreserved.release()
        super().putconn(conn)

    def _get_ready_connection(self, timeout: float | None) -> Connection[Any] | None:
        """Return an idle connection that lives, if there is one; the dead that stand before it are replaced."""
        while (idle := super()._get_ready_connection(timeout)) and not is_connection_alive(idle):
            idle.close()
            self.run_task(AddConnection(self))
        return idle

    def reconnect_failed(self) -> None:
        """Try again while somebody waits: each of them does so for as long as the pool's timeout says."""
        with self._lock:
            if self._waiting:
                self._maybe_grow_pool()

    def replace_all(self) -> None:
        """Replace every session, those in use when they come back; not again within a second."""
        if time.monotonic() - self._drained_at >= REPLACE_SECONDS:
            SESSIONS_REPLACED.record()
            self.drain()


def is_connection_alive(idle: Connection[Any]) -> bool:
    """Tell whether the server still holds its end. It has nothing to say to a connection in rest but that it is over."""
    waiting = select.poll()
    waiting.register(idle.fileno(), select.POLLIN)
    return not waiting.poll(0)


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, which looks for a statement's text where only one kind of cursor leaves it."""

    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """Return the statement with its values in it, for whoever logs or counts statements."""
        sent = super().last_executed_query(cursor, sql, params) if isinstance(cursor, ClientCursor) else None
        return sent or str(self.compose_sql(sql, params))


class ErrorWrapper(DatabaseErrorWrapper):
    """Django's, to which an error that ends the session is an OperationalError, as every other loss of it.

    A session with a server that takes no writes is closed: the next one may find the primary.
    """

    wrapper: "DatabaseWrapper"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Raise Django's exception in place of psycopg's."""
        if error is None:
            return
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate == READ_ONLY_SERVER:
            self.wrapper.end_session()
        if sqlstate in SESSION_ENDS:
            self.wrapper.errors_occurred = True
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to PostgreSQL, from a pool of ours when settings ask for one."""

    ops_class = DatabaseOperations
    # Django's own, of which its types do not tell.
    _connection_pools: ClassVar[dict[str, Pool]]
    _configure_connection: Callable[[Connection[Any]], None]

    @property
    def pool(self) -> Pool | None:
        """Return this process's pool, made when it is first asked for."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            how = self.get_connection_params() | {"autocommit": True}
            made = Pool(
                kwargs=how,
                open=False,
                configure=self._configure_connection,
                reconnect_timeout=RECONNECT_SECONDS,
                reserved=options["max_size"] // 2,
                **options,
            )
            self._connection_pools.setdefault(self.alias, made)
        return self._connection_pools[self.alias]

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        """Return what turns psycopg's exceptions into Django's."""
        return ErrorWrapper(self)

    def end_session(self) -> None:
        """End the session with a server that takes no writes, and those that the pool has; a transaction is lost."""
        if self.connection is not None:
            self.connection.close()
        if not self.in_atomic_block:
            self.close()
        if self.pool:
            self.pool.replace_all()

    def prepared_cursor(self) -> CursorWrapper:
        """Return a cursor whose statements PostgreSQL plans once a connection: for those that are asked all the time."""
        with self.wrap_database_errors:
            self.ensure_connection()
            return self._prepare_cursor(Cursor(self.connection))  # type: ignore[attr-defined, no-any-return]
