"""The database engine of settings.DATABASES: Django's own with another connection pool."""

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
from django.db.backends.utils import CursorWrapper, debug_transaction
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from prometheus_client import Gauge
from psycopg import ClientCursor, Connection, Cursor, InternalError
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.pool import AddConnection

from cashback.database.commit import commit_with_standbys
from kernel.connection_reservation import may_take_reserved
from kernel.fallbacks import Fallback
from kernel.metrics import REGISTRY
from kernel.replicas import PRIMARY, REPLICA, note_failure

log = logging.getLogger(__name__)
SESSIONS_REPLACED = Fallback("database.sessions_replaced", "the database is read-only; all sessions with it are replaced", log)
CONNECTIONS_IN_USE = Gauge(
    "cashback_database_connections_in_use", "Connections lent by the pools.", multiprocess_mode="livesum", registry=REGISTRY
)
POOL_SIZE = Gauge(
    "cashback_database_pool_connections", "Largest size of the pools.", multiprocess_mode="livesum", registry=REGISTRY
)

RECONNECT_SECONDS = 0.25
READ_ONLY_SERVER = "25006"  # a write met a standby, or a primary that takes no writes
# Errors that end a session, or leave it useless, but are InternalError in psycopg: read-only server, idle-in-transaction
# timeout, transaction timeout.
SESSION_ENDING_SQLSTATES = {READ_ONLY_SERVER, "25P03", "25P04"}
REPLACE_INTERVAL_SECONDS = 1.0  # the shortest time between two replacements of all sessions of a pool


class Pool(ConnectionPool[Connection[Any]]):
    """A pool that lends no connection that the server closed, and that reconnects as long as a thread waits for a connection.

    psycopg's own pool sends a query on each connection before it is used, and sleeps one second, then two, after it finds a
    second one broken: after a failover the batch leader would keep waiting although healthy connections are available.

    `reserved` of its connections are lent only to work that may take them (kernel.connection_reservation), so that claims
    always find one.
    """

    def __init__(self, *args: Any, reserved: int = 0, **kwargs: Any) -> None:
        """Take the arguments of psycopg's pool, and the number of `reserved` connections."""
        super().__init__(*args, **kwargs)
        self.unreserved = BoundedSemaphore(self.max_size - reserved)
        self.lent_unreserved: set[Connection[Any]] = set()

    def getconn(self, timeout: float | None = None) -> Connection[Any]:
        """Lend a connection; raise PoolTimeout when there is none for this work in time."""
        lent = super().getconn(timeout) if may_take_reserved() else self.get_unreserved(timeout)
        CONNECTIONS_IN_USE.inc()
        return lent

    def get_unreserved(self, timeout: float | None) -> Connection[Any]:
        """Lend one of the connections that are not reserved."""
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
        CONNECTIONS_IN_USE.dec()
        super().putconn(conn)

    def _get_ready_connection(self, timeout: float | None) -> Connection[Any] | None:
        """Return an idle connection that the server did not close, or None; closed ones are replaced."""
        while (idle := super()._get_ready_connection(timeout)) and not is_connection_alive(idle):
            idle.close()
            self.run_task(AddConnection(self))
        return idle

    def reconnect_failed(self) -> None:
        """Try again while a thread waits for a connection; each thread waits for the pool's timeout."""
        with self._lock:
            if self._waiting:
                self._maybe_grow_pool()

    def replace_all(self) -> None:
        """Replace every session, those in use when they are returned; do nothing within REPLACE_INTERVAL_SECONDS."""
        if time.monotonic() - self._drained_at >= REPLACE_INTERVAL_SECONDS:
            SESSIONS_REPLACED.record()
            self.drain()


def is_connection_alive(idle: Connection[Any]) -> bool:
    """Return whether the server has not closed the connection: the only message to an idle connection is its end."""
    waiting = select.poll()
    waiting.register(idle.fileno(), select.POLLIN)
    return not waiting.poll(0)


def is_out_of_step(error: BaseException) -> bool:
    """Return whether an answer belonged to no statement: psycopg's own error, without an SQLSTATE.

    A pooler may forward the end of a server's session in the middle of an answer.
    """
    return isinstance(error, InternalError) and error.sqlstate is None


class DatabaseOperations(operations.DatabaseOperations):
    """Django's operations; last_executed_query also works for cursors that bind parameters on the server."""

    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """Return the statement with its values, for query logs and tests that count statements."""
        sent = super().last_executed_query(cursor, sql, params) if isinstance(cursor, ClientCursor) else None
        return sent or str(self.compose_sql(sql, params))


class ErrorWrapper(DatabaseErrorWrapper):
    """Django's wrapper, which raises other errors after which a session is useless as OperationalError, like lost connections.

    The session is closed; all of them are with a read-only server, because the next one may reach the primary.
    """

    wrapper: "DatabaseWrapper"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Raise the Django exception for a psycopg exception."""
        if error is None:
            return
        if self.wrapper.alias == REPLICA:
            note_failure(error)
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate in SESSION_ENDING_SQLSTATES or is_out_of_step(error):
            end = self.wrapper.replace_sessions if sqlstate == READ_ONLY_SERVER else self.wrapper.end_session
            end()
            self.wrapper.errors_occurred = True
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to PostgreSQL, taken from our Pool when OPTIONS has `pool`."""

    ops_class = DatabaseOperations
    # Attributes of Django that its type stubs lack.
    _connection_pools: ClassVar[dict[str, Pool]]
    _configure_connection: Callable[[Connection[Any]], None]

    @property
    def pool(self) -> Pool | None:
        """Return this process's pool, which is made at first use; None without one in the settings."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            parameters = self.get_connection_params() | {"autocommit": True}
            pool = Pool(
                kwargs=parameters,
                open=False,
                configure=self._configure_connection,
                reconnect_timeout=RECONNECT_SECONDS,
                reserved=options["max_size"] // 2 if self.alias == PRIMARY else 0,  # claims are made at the primary
                **options,
            )
            self._connection_pools.setdefault(self.alias, pool)
            POOL_SIZE.set(options["max_size"])
        return self._connection_pools[self.alias]

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        """Return the context manager that turns psycopg's exceptions into Django's."""
        return ErrorWrapper(self)

    def _commit(self) -> None:
        """Commit; at the primary, wait for the synchronous standbys also when the transaction wrote nothing."""
        session = self.connection
        if session is None or self.alias != PRIMARY or session.info.transaction_status != TransactionStatus.INTRANS:
            super()._commit()  # type: ignore[misc]  # a method that Django's type stubs lack
            return
        with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
            commit_with_standbys(session)

    def end_session(self) -> None:
        """Close the session; an open transaction is lost."""
        if self.connection is not None:
            self.connection.close()
        if not self.in_atomic_block:
            self.close()

    def replace_sessions(self) -> None:
        """Close the session with a read-only server and all sessions of the pool."""
        self.end_session()
        if self.pool:
            self.pool.replace_all()

    def chunked_cursor(self) -> CursorWrapper:
        """Return a cursor for large results, which are kept on the server.

        With a pooler they are only within a transaction: the next one may have another session, which does not know the cursor.
        """
        if self.settings_dict.get("POOLER") and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()

    def prepared_cursor(self) -> CursorWrapper:
        """Return a cursor that uses server-side prepared statements, for statements that run all the time.

        With a pooler that does not keep them, the statements are sent alike, but not prepared.
        """
        with self.wrap_database_errors:
            self.ensure_connection()
            return self._prepare_cursor(Cursor(self.connection))  # type: ignore[attr-defined, no-any-return]
