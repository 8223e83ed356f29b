"""gunicorn's threaded worker with requests read by the main thread and only processed by the other threads.

In gunicorn's own worker threads read requests, so that as many incomplete requests as threads block it.
"""

import errno
import resource
import selectors
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar
from weakref import WeakSet

from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from cashback.gunicorn_worker.connection_counts import NO_WORKER, ConnectionCounts
from cashback.gunicorn_worker.connections import MAX_HEAD_BYTES, Connection
from cashback.gunicorn_worker.limited_sockets import Limits, Senders
from cashback.gunicorn_worker.server_errors import HEAD_TOO_LARGE, LINE_TOO_LONG, TOO_SLOW, ServerError
from kernel.request_id import new_request_id

MAX_RECEIVED_BYTES = 32 * 1024 * 1024  # of incomplete requests in one process
RESERVED_FILES = 100  # file descriptors for database connections, logs and files
CLOSING_TIMEOUT_SECONDS = 2.0
DEADLINE_CHECK_SECONDS = 0.5
YIELD_SECONDS = 0.005  # how long a new connection is left to workers that have fewer
NO_FILE_ERRORS = (errno.EMFILE, errno.ENFILE)
TEMPORARY_ERRORS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, *NO_FILE_ERRORS)
# The order in which connections are closed at the limits, by state.
CLOSE_ORDER = {"closing": 0, "head": 1, "body": 1, "idle": 2}


class PollingWorker(ThreadWorker):  # type: ignore[misc]
    """Keeps connections with incomplete requests in its main thread, each until its deadline.

    At the limit of connections or bytes it closes the connection with the oldest incomplete request, then the oldest idle one.
    A worker with more connections than another accepts a new one only after YIELD_SECONDS.
    """

    workers: ClassVar[WeakSet["PollingWorker"]] = WeakSet()
    counts: ClassVar[ConnectionCounts] = ConnectionCounts()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raise ConfigError for TLS, which this worker does not support."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("This worker speaks no TLS: a proxy in front of it does.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Read the limits; ignore forwarding headers, because Django handles trusted proxies.

        gunicorn calls this in the parent process, which knows the other workers.
        """
        super().__init__(*args, **kwargs)
        self.place: int | None = self.counts.take_place([worker.place for worker in self.workers])
        self.workers.add(self)
        self.accepts_from = 0.0  # by the monotonic clock; before it, new connections are left to other workers
        self.cfg.set("secure_scheme_headers", {})
        self.cfg.set("forwarder_headers", "")
        limits = Limits.from_environment()
        self.senders = Senders(max(1, self.cfg.threads // 4), limits)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.worker_connections: int = min(self.cfg.worker_connections, max(RESERVED_FILES, files - RESERVED_FILES))
        self.waiting: set[Connection] = set()
        self.received_bytes = 0  # of the waiting connections
        self.next_deadline_check = 0.0

    def accept(self, listener: Any) -> None:
        """Accept a connection, or close one if no file descriptor is free."""
        if self.yields():
            return
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno not in TEMPORARY_ERRORS:
                raise
            if error.errno in NO_FILE_ERRORS and self.waiting:
                self.drop(self.next_to_close())
            return
        self.nr_conns += 1
        self.accepts_from = 0.0
        self.publish_count()
        conn = Connection(self.cfg, accepted, client, listener.getsockname(), self.senders)
        self.receive(conn)
        self.enforce_limits()

    def yields(self) -> bool:
        """Return whether a new connection is left to workers that have fewer; each connection is left to them once."""
        now = time.monotonic()
        if now - self.accepts_from < YIELD_SECONDS or self.place is None or not self.counts.is_ahead(self.place):
            return False
        self.accepts_from = now + YIELD_SECONDS
        return True

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001
        """Start or stop waiting for new connections (gunicorn calls this when it starts, stops or reaches its limit)."""
        self.publish_count()
        super().set_accept_enabled(enabled and time.monotonic() >= self.accepts_from)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for the next events, but no longer than new connections are left to others."""
        self.publish_count()
        if yielding := max(0.0, self.accepts_from - time.monotonic()):
            self.set_accept_enabled(False)
            timeout = min(timeout, yielding)
        super().wait_for_and_dispatch_events(timeout)

    def publish_count(self) -> None:
        """Tell the other workers how many connections this one has; a worker that exits accepts none."""
        if self.place is not None:
            self.counts.counts[self.place] = self.nr_conns if self.alive else NO_WORKER

    def receive(self, conn: Connection) -> None:
        """Read the available bytes and process the request if it is complete."""
        try:
            alive = conn.read_available()
        except OSError:
            alive = False
        if not alive:
            self.drop(conn)
        elif conn.state == "closing":
            self.await_data(conn)
        else:
            self.process_if_complete(conn)

    def process_if_complete(self, conn: Connection) -> None:
        """Queue the request if it is complete, else wait for the rest, or reject a head that is too large."""
        if conn.is_complete():
            self.unregister(conn)
            self.enqueue_req(conn)
        elif conn.needed is None and len(conn.received) > MAX_HEAD_BYTES:
            is_line = b"\r\n" not in conn.received[: self.cfg.limit_request_line + 2]
            self.refuse(conn, LINE_TOO_LONG if is_line else HEAD_TOO_LARGE)
        else:
            self.await_data(conn)

    def await_data(self, conn: Connection) -> None:
        """Register the connection with the poller."""
        self.received_bytes += len(conn.received) - conn.counted
        conn.counted = len(conn.received)
        if conn not in self.waiting:
            self.waiting.add(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_readable, conn))

    def on_readable(self, conn: Connection, sock: socket.socket) -> None:
        """Receive from a waiting connection, unless it was dropped in the same round."""
        if conn in self.waiting:
            self.receive(conn)
            self.enforce_limits()

    def unregister(self, conn: Connection) -> None:
        """Unregister a connection from the poller if it is registered."""
        if conn in self.waiting:
            self.waiting.remove(conn)
            self.received_bytes -= conn.counted
            conn.counted = 0
            self.poller.unregister(conn.sock)

    def drop(self, conn: Connection) -> None:
        """Close a connection."""
        self.unregister(conn)
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Wait for the next request on a keep-alive connection; close another."""
        keep_alive = not fs.cancelled() and fs.exception() is None and fs.result()
        if keep_alive:
            conn.await_request(self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER))
            self.process_if_complete(conn)
        else:
            self.shut_down(conn)

    def shut_down(self, conn: Connection) -> None:
        """Shut down the sending side and wait for the client to close."""
        self.unregister(conn)
        try:
            conn.await_close(CLOSING_TIMEOUT_SECONDS)
        except OSError:
            self.drop(conn)
        else:
            self.await_data(conn)

    def refuse(self, conn: Connection, error: ServerError) -> None:
        """Respond to an incomplete request with an error and shut the connection down."""
        with suppress(OSError):
            conn.sock.send(error.response(new_request_id()))
        self.shut_down(conn)

    def enforce_limits(self) -> None:
        """Close connections until their number and bytes are within the limits."""
        while self.waiting and (self.nr_conns >= self.worker_connections or self.received_bytes > MAX_RECEIVED_BYTES):
            self.drop(self.next_to_close())

    def next_to_close(self) -> Connection:
        """Return the connection that is closed first at the limits."""
        return min(self.waiting, key=lambda conn: (CLOSE_ORDER[conn.state], conn.since))

    def murder_pending(self) -> None:
        """Close the connections whose deadline has passed (gunicorn calls this in each round)."""
        now = time.monotonic()
        if now < self.next_deadline_check and self.alive:
            return
        self.next_deadline_check = now + DEADLINE_CHECK_SECONDS
        for conn in [conn for conn in self.waiting if conn.deadline < now]:
            if conn.received and conn.state != "idle":
                self.refuse(conn, TOO_SLOW)
            else:
                self.drop(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001
        """Close the waiting connections when the worker exits."""
        if force:
            for conn in list(self.waiting):
                self.drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self.waiting:
            conn.deadline = min(conn.deadline, deadline)
