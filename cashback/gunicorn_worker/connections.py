"""Connections, and what has arrived of their next request.

A slow peer costs a socket and some memory, never a thread: a thread gets a request only when it has arrived in full.
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

LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 1_100_000  # the largest file that is taken, and the form around it; what is larger is refused unread
READ_BYTES = 64 * 1024
HEAD_END = b"\r\n\r\n"
LINE_FEED = re.compile(rb"(?<!\r)\n")
FRAMING = re.compile(rb"\r\n(?:content-length:[ \t]*(\d{1,12})[ \t]*|transfer-encoding:[^\r\n]*)(?=\r\n)", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_AWAITED = -1


class Connection(TConn):  # type: ignore[misc]
    """A connection, what has arrived of its next request, and until when the rest must.

    It waits in one of four states: for a request ("idle"), for the rest of a head or of a body, or for its peer to hang up
    ("closing").
    """

    sock: LimitedSocket

    def __init__(self, cfg: Any, accepted: socket.socket, client: Any, server: Any, senders: Senders) -> None:
        super().__init__(cfg, LimitedSocket(accepted, senders), client, server)
        self.limits = senders.limits
        self.initialized = True  # the parser is made here, of bytes that have arrived
        self.received = bytearray()
        self.needed: int | None = None  # bytes from the beginning that the next request takes; None before its head is whole
        self.counted = 0  # of the received, by the worker that bounds them all
        self.body = 0  # bytes of its body, or NOT_AWAITED
        self.await_head()

    def await_request(self, seconds: float) -> None:
        """Wait for the next request on a connection that is kept."""
        self.state, self.since = "idle", time.monotonic()
        self.deadline = self.since + seconds
        if self.received:
            self.needed = None
            self.await_head()

    def await_head(self) -> None:
        """Wait for the whole head."""
        self.state, self.since = "head", time.monotonic()
        self.deadline = self.since + self.limits.head

    def await_end(self, seconds: float) -> None:
        """Wait for the peer to hang up, having sent all: closing at once could take the end of the answer from it."""
        self.sock.shutdown(socket.SHUT_WR)
        self.received.clear()
        self.state, self.since = "closing", time.monotonic()
        self.deadline = self.since + seconds

    def read(self) -> bool:
        """Take in what has arrived; return whether the peer is still there. Raises OSError."""
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

    def is_whole(self) -> bool:
        """Return whether the next request can be answered."""
        if self.needed is None:
            self._find_end_of_head()
        return self.needed is not None and len(self.received) >= self.needed

    def _find_end_of_head(self) -> None:
        end = self.received.find(HEAD_END)
        if end < 0:
            if LINE_FEED.search(self.received):  # gunicorn will refuse it; the end might never come
                self.needed, self.body = len(self.received), NOT_AWAITED
            return
        framing = FRAMING.findall(self.received, 0, end + 2)
        self.body = int(framing[0]) if framing and framing[0] else NOT_AWAITED if framing else 0
        if self.body > LARGEST_BODY or len(framing) > 1:
            self.body = NOT_AWAITED
        self.needed = end + len(HEAD_END) + max(0, self.body)
        if len(self.received) < self.needed:
            self._await_body(end)

    def _await_body(self, end: int) -> None:
        self.state, self.since = "body", time.monotonic()
        self.deadline = self.since + self.limits.body
        expect = EXPECT.search(self.received, 0, end + 2)
        if expect and self.needed and self.received.partition(b"\r\n")[0].endswith(b"HTTP/1.1"):
            self.needed -= expect.end() - expect.start()
            del self.received[expect.start() : expect.end()]  # gunicorn would answer it a second time
            self.sock.send(CONTINUE)

    def take_request(self) -> None:
        """Give the request that has arrived to a parser that cannot ask for more."""
        data = bytes(self.received[: self.needed])
        del self.received[: self.needed]
        self.needed = None
        self.parser = RequestParser(self.cfg, [data], self.client)
        self.sock.time_left = self.limits.answer

    def is_framed_as(self, reader: Any) -> bool:
        """Return whether gunicorn sees the request end where it was cut from the next."""
        return bool(getattr(reader, "length", None) == self.body)

    def has_next(self, milliseconds: int) -> bool:
        """Wait for a moment and return whether the next request is there in full."""
        if self.received and self.is_whole():
            return True
        ready = select.poll()
        ready.register(self.sock, select.POLLIN)
        if not ready.poll(milliseconds):
            return False
        with suppress(OSError):  # what became of the peer, the poller finds
            self.read()
        return self.is_whole()
