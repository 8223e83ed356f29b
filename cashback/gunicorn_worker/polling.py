"""gunicorn's threaded worker, in which the main thread reads requests and threads only answer them.

gunicorn's own has threads read: as many half-sent requests as there are threads stop it.
"""

import errno
import resource
import selectors
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from cashback.gunicorn_worker.connections import LARGEST_HEAD, Connection
from cashback.gunicorn_worker.limited_sockets import Limits, Senders
from cashback.gunicorn_worker.server_errors import HEAD_TOO_LARGE, LINE_TOO_LONG, TOO_SLOW, ServerError

MOST_RECEIVED_BYTES = 32 * 1024 * 1024  # of requests that are not whole yet, in one process
SPARE_FILES = 100  # for connections to the database, logs and files, of the files that a process may open
CLOSING_SECONDS = 2.0
LOOK_SECONDS = 0.5
NO_FILE = (errno.EMFILE, errno.ENFILE)
NOT_NOW = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, *NO_FILE)
# What is closed first when there is no room.
RANKS = {"closing": 0, "head": 1, "body": 1, "idle": 2}


class PollingWorker(ThreadWorker):  # type: ignore[misc]
    """Keeps the connections whose request is not whole in its main thread, each until its deadline.

    Where there are too many connections or bytes, room is made of the oldest request that is not whole, then of the oldest idle
    connection.
    """

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raise ConfigError for what this worker cannot do."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("This worker speaks no TLS: a proxy in front of it does.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Read the limits; believe nothing that a header says of the connection: Django knows which proxies are ours."""
        super().__init__(*args, **kwargs)
        self.cfg.set("secure_scheme_headers", {})
        self.cfg.set("forwarder_headers", "")
        limits = Limits.from_environment()
        self.senders = Senders(max(1, self.cfg.threads // 4), limits)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.worker_connections: int = min(self.cfg.worker_connections, max(SPARE_FILES, files - SPARE_FILES))
        self.waiting: set[Connection] = set()
        self.received_bytes = 0  # of the waiting
        self.next_look = 0.0

    def accept(self, listener: Any) -> None:
        """Accept a connection."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno not in NOT_NOW:
                raise
            if error.errno in NO_FILE and self.waiting:
                self.drop(self.first_to_go())
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, accepted, client, listener.getsockname(), self.senders)
        self.receive(conn)
        self.make_room()

    def receive(self, conn: Connection) -> None:
        """Read what has arrived, and have the request answered when it is whole."""
        try:
            alive = conn.read()
        except OSError:
            alive = False
        if not alive:
            self.drop(conn)
        elif conn.state == "closing":
            self.wait(conn)
        else:
            self.advance(conn)

    def advance(self, conn: Connection) -> None:
        """Have the request answered when it is whole, else wait for the rest."""
        if conn.is_whole():
            self.leave(conn)
            self.enqueue_req(conn)
        elif conn.needed is None and len(conn.received) > LARGEST_HEAD:
            is_line = b"\r\n" not in conn.received[: self.cfg.limit_request_line + 2]
            self.refuse(conn, LINE_TOO_LONG if is_line else HEAD_TOO_LARGE)
        else:
            self.wait(conn)

    def wait(self, conn: Connection) -> None:
        """Let the poller wait for more of the connection."""
        self.received_bytes += len(conn.received) - conn.counted
        conn.counted = len(conn.received)
        if conn not in self.waiting:
            self.waiting.add(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_readable, conn))

    def on_readable(self, conn: Connection, sock: socket.socket) -> None:
        """Receive from a connection that waits; one that was dropped in the same round is gone."""
        if conn in self.waiting:
            self.receive(conn)
            self.make_room()

    def leave(self, conn: Connection) -> None:
        """Take a connection from the poller, if it is there."""
        if conn in self.waiting:
            self.waiting.remove(conn)
            self.received_bytes -= conn.counted
            conn.counted = 0
            self.poller.unregister(conn.sock)

    def drop(self, conn: Connection) -> None:
        """Close a connection."""
        self.leave(conn)
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Wait for the next request on a connection that is kept; hang up on another."""
        kept = not fs.cancelled() and fs.exception() is None and fs.result()
        if kept:
            conn.await_request(self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER))
            self.advance(conn)
        else:
            self.hang_up(conn)

    def hang_up(self, conn: Connection) -> None:
        """Tell the peer that nothing more comes, and close when it has heard it."""
        self.leave(conn)
        try:
            conn.await_end(CLOSING_SECONDS)
        except OSError:
            self.drop(conn)
        else:
            self.wait(conn)

    def refuse(self, conn: Connection, error: ServerError) -> None:
        """Answer a request that is not whole, and hang up."""
        with suppress(OSError):
            conn.sock.send(error.answer())
        self.hang_up(conn)

    def make_room(self) -> None:
        """Close as many connections as there are too many."""
        while self.waiting and (self.nr_conns >= self.worker_connections or self.received_bytes > MOST_RECEIVED_BYTES):
            self.drop(self.first_to_go())

    def first_to_go(self) -> Connection:
        """Return the connection that is closed when there is no room."""
        return min(self.waiting, key=lambda conn: (RANKS[conn.state], conn.since))

    def murder_pending(self) -> None:
        """Close the connections whose time is over (gunicorn calls this in each round)."""
        now = time.monotonic()
        if now < self.next_look and self.alive:
            return
        self.next_look = now + LOOK_SECONDS
        for conn in [conn for conn in self.waiting if conn.deadline < now]:
            if conn.received and conn.state != "idle":
                self.refuse(conn, TOO_SLOW)
            else:
                self.drop(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001
        """Close what still waits when the worker ends."""
        if force:
            for conn in list(self.waiting):
                self.drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self.waiting:
            conn.deadline = min(conn.deadline, deadline)
