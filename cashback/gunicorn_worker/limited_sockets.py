"""Sockets that limit how long a client that reads slowly can keep a thread waiting."""

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

BLOCK_BYTES = 64 * 1024
SEND_BUFFER_BYTES = 128 * 1024  # a response within it does not keep its thread waiting
NOT_READ = "The peer does not read its answer."


@dataclass(frozen=True)
class Limits:
    """Time limits for a client in seconds, and its minimum rate in bytes per second."""

    head: float = 10
    body: float = 10
    answer: float = 10
    rate: float = 1000

    @classmethod
    def from_environment(cls) -> "Limits":
        """Return the limits of the environment variables; raise ValueError unless each is a positive number."""
        return cls(
            head=_read_positive_int("REQUEST_HEAD_TIMEOUT_MS", 10_000) / 1000,
            body=_read_positive_int("REQUEST_BODY_TIMEOUT_MS", 10_000) / 1000,
            answer=_read_positive_int("ANSWER_TIMEOUT_MS", 10_000) / 1000,
            rate=_read_positive_int("LOWEST_BYTES_PER_SECOND", 1000),
        )


def _read_positive_int(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f'{name} must be a positive whole number, not "{text}".')
    return int(text)


class Senders:
    """The threads that wait for a client to read a response. If there are too many, the connection idle for longest is cut."""

    def __init__(self, max_waiting: int, limits: Limits) -> None:
        self.max_waiting, self.limits = max_waiting, limits
        self.lock = threading.Lock()
        self.waiting: dict[LimitedSocket, float] = {}  # monotonic time of the client's last read

    def wait_until_writable(self, sock: "LimitedSocket") -> None:
        """Wait until the socket is writable. Raises ConnectionResetError if the client reads too slowly or not at all.

        The client has `limits.answer` seconds; each byte that it reads adds time according to the minimum rate.
        """
        max_time, step = self.limits.answer, min(1.0, self.limits.answer)
        ready, unsent = select.poll(), sock.unsent_bytes()
        ready.register(sock, select.POLLOUT)
        self._register(sock)
        try:
            while not ready.poll(1000 * step):
                before, unsent = unsent, sock.unsent_bytes()
                earned = max(0, before - unsent) / self.limits.rate
                sock.time_left = min(max_time, sock.time_left - step + earned)
                if sock.time_left <= 0:
                    raise ConnectionResetError(errno.ECONNRESET, NOT_READ)
                if earned:
                    self._register(sock)
        finally:
            with self.lock:
                self.waiting.pop(sock, None)

    def _register(self, sock: "LimitedSocket") -> None:
        with self.lock:
            self.waiting[sock] = time.monotonic()
            slowest = min(self.waiting, key=self.waiting.__getitem__) if len(self.waiting) > self.max_waiting else None
            if slowest:
                del self.waiting[slowest]
        if slowest:
            with suppress(OSError):
                slowest.shutdown(socket.SHUT_RDWR)


class LimitedSocket(socket.socket):
    """A non-blocking socket that waits, within limits, for a client that reads its response slowly."""

    def __init__(self, accepted: socket.socket, senders: Senders) -> None:
        """Take over the accepted socket."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        self.senders = senders
        self.time_left = senders.limits.answer
        self.awaits_head = False
        self.held_head = b""
        with suppress(OSError):  # a unix socket has no such option
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            # Limits data that is still in the kernel's buffer after the thread is done.
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * senders.limits.answer))

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001
        """Ignore the call: gunicorn would make the socket block without a limit."""

    def settimeout(self, value: float | None) -> None:
        """Ignore the call, as setblocking does."""

    def unsent_bytes(self) -> int:
        """Return the number of sent bytes that the client has not acknowledged."""
        return int(struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, b"\0" * 4))[0])

    def start_response(self) -> None:
        """Hold the head of the response, which gunicorn sends on its own, until its body follows: one packet, not two."""
        self.awaits_head, self.held_head = True, b""

    def finish_response(self) -> None:
        """Send the head of a response without a body. Raises OSError."""
        if self.held_head:
            self.sendall(b"")

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything. Raises OSError if the client has closed, does not read, or reads too slowly."""
        if self.awaits_head:
            self.awaits_head, self.held_head = False, data
            return
        if self.held_head:
            data, self.held_head = self.held_head + data, b""
        remaining = memoryview(data)
        while remaining:
            try:
                sent = self.send(remaining, flags)
            except BlockingIOError:
                self.senders.wait_until_writable(self)
            except TimeoutError as error:  # of TCP_USER_TIMEOUT
                raise ConnectionResetError(errno.ECONNRESET, NOT_READ) from error
            else:
                remaining = remaining[sent:]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send part of a file with `sendall`."""
        file.seek(offset)
        remaining = count or 0
        while remaining and (block := file.read(min(remaining, BLOCK_BYTES))):
            self.sendall(block)
            remaining -= len(block)
        return (count or 0) - remaining
