"""Connections with the received part of their next request.

A slow client takes a socket and some memory, never a thread: a thread gets a request only when it has arrived completely.
"""

import re
import select
import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from cashback.gunicorn_worker.limited_sockets import LimitedSocket, Senders

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 1_100_000  # the largest accepted file and its form; larger bodies are rejected unread
READ_BYTES = 16 * 1024
HEAD_END = b"\r\n\r\n"
LINE_FEED = re.compile(rb"(?<!\r)\n")
FRAMING = re.compile(rb"\r\n(?:content-length:[ \t]*(\d{1,12})[ \t]*|transfer-encoding:[^\r\n]*)(?=\r\n)", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_BUFFERED = -1


class Connection(TConn):  # type: ignore[misc]
    """A connection, the received part of its next request, and the deadline for the rest.

    Its state is "idle" (waiting for a request), "head", "body" (waiting for the rest of it) or "closing" (waiting for the
    client to close).
    """

    sock: LimitedSocket

    def __init__(self, cfg: Any, accepted: socket.socket, client: Any, server: Any, senders: Senders) -> None:
        super().__init__(cfg, LimitedSocket(accepted, senders), client, server)
        self.limits = senders.limits
        self.initialized = True  # the parser is created in take_request, from received bytes
        self.received = bytearray()
        self.needed: int | None = None  # length of the next request in bytes; None until its head is complete
        self.counted = 0  # received bytes that the worker has counted towards its limit
        self.body = 0  # length of its body in bytes, or NOT_BUFFERED
        self.await_head()

    def await_request(self, seconds: float) -> None:
        """Wait for the next request on a keep-alive connection."""
        self.state, self.since = "idle", time.monotonic()
        self.deadline = self.since + seconds
        if self.received:
            self.needed = None
            self.await_head()

    def await_head(self) -> None:
        """Wait for the complete head."""
        self.state, self.since = "head", time.monotonic()
        self.deadline = self.since + self.limits.head

    def await_close(self, seconds: float) -> None:
        """Wait for the client to close after everything was sent: closing at once could discard the end of the response."""
        self.sock.shutdown(socket.SHUT_WR)
        self.received.clear()
        self.state, self.since = "closing", time.monotonic()
        self.deadline = self.since + seconds

    def read_available(self) -> bool:
        """Read the available bytes; return False if the client has closed. Raises OSError."""
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return True
        if self.state == "closing":
            return bool(data)
        if self.state == "idle":
            self.await_head()
        self.received += data
        if self.state == "body":
            now = time.monotonic()
            self.deadline = min(now + self.limits.body, self.deadline + len(data) / self.limits.rate)
        return bool(data)

    def is_complete(self) -> bool:
        """Return whether the next request has arrived completely."""
        if self.needed is None:
            self._find_end_of_head()
        return self.needed is not None and len(self.received) >= self.needed

    def _find_end_of_head(self) -> None:
        end = self.received.find(HEAD_END)
        if end < 0:
            if LINE_FEED.search(self.received):  # gunicorn will reject it, and its end might never arrive
                self.needed, self.body = len(self.received), NOT_BUFFERED
            return
        framing = FRAMING.findall(self.received, 0, end + 2)
        self.body = int(framing[0]) if framing and framing[0] else NOT_BUFFERED if framing else 0
        if self.body > MAX_BODY_BYTES or len(framing) > 1:
            self.body = NOT_BUFFERED
        self.needed = end + len(HEAD_END) + max(0, self.body)
        if len(self.received) < self.needed:
            self._await_body(end)

    def _await_body(self, end: int) -> None:
        self.state, self.since = "body", time.monotonic()
        self.deadline = self.since + self.limits.body
        expect = EXPECT.search(self.received, 0, end + 2)
        if expect and self.needed and self.received.partition(b"\r\n")[0].endswith(b"HTTP/1.1"):
            self.needed -= expect.end() - expect.start()
            del self.received[expect.start() : expect.end()]  # otherwise gunicorn would respond to it again
            self.sock.send(CONTINUE)

    def take_request(self) -> None:
        """Create the parser of the received request, which cannot read from the socket."""
        data = bytes(self.received[: self.needed])
        del self.received[: self.needed]
        self.needed = None
        self.parser = RequestParser(self.cfg, [data], self.client)
        self.sock.time_left = self.limits.answer

    def is_framed_as(self, reader: Any) -> bool:
        """Return whether gunicorn determined the same length of the body, so that the next request starts where expected."""
        return bool(getattr(reader, "length", None) == self.body)

    def has_next(self, milliseconds: int) -> bool:
        """Wait up to this long and return whether the next request has arrived completely."""
        if self.received and self.is_complete():
            return True
        ready = select.poll()
        ready.register(self.sock, select.POLLIN)
        if not ready.poll(milliseconds):
            return False
        with suppress(OSError):  # the poller handles a closed connection
            self.read_available()
        return self.is_complete()
