"""Sockets whose peer may keep a thread waiting only for so long, and the limits that a peer has."""

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
SEND_BUFFER_BYTES = 128 * 1024  # an answer within it leaves its thread at once, whether it is read or not
NOT_READ = "The peer does not read its answer."


@dataclass(frozen=True)
class Limits:
    """How long a peer may take, in seconds, and how slow it may be, in bytes a second."""

    head: float = 10
    body: float = 10
    answer: float = 10
    rate: float = 1000

    @classmethod
    def from_environment(cls) -> "Limits":
        """Return the limits that the environment names; raise ValueError for one that is not a positive number."""
        return cls(
            head=_positive("REQUEST_HEAD_TIMEOUT_MS", 10_000) / 1000,
            body=_positive("REQUEST_BODY_TIMEOUT_MS", 10_000) / 1000,
            answer=_positive("ANSWER_TIMEOUT_MS", 10_000) / 1000,
            rate=_positive("LOWEST_BYTES_PER_SECOND", 1000),
        )


def _positive(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f'{name} must be a positive whole number, not "{text}".')
    return int(text)


class Senders:
    """The threads that wait for a peer to read its answer; of too many, the one whose peer read nothing for longest is cut."""

    def __init__(self, most: int, limits: Limits) -> None:
        self.most, self.limits = most, limits
        self.lock = threading.Lock()
        self.waiting: dict[LimitedSocket, float] = {}  # since when the peer has read nothing

    def wait(self, sock: "LimitedSocket") -> None:
        """Wait until the socket takes more. Raises ConnectionResetError for a peer that reads too slowly or not at all.

        The peer may keep us waiting for `limits.answer` seconds; what it reads earns it time at the lowest rate.
        """
        longest, step = self.limits.answer, min(1.0, self.limits.answer)
        ready, queued = select.poll(), sock.queued()
        ready.register(sock, select.POLLOUT)
        self._enter(sock)
        try:
            while not ready.poll(1000 * step):
                before, queued = queued, sock.queued()
                earned = max(0, before - queued) / self.limits.rate
                sock.time_left = min(longest, sock.time_left - step + earned)
                if sock.time_left <= 0:
                    raise ConnectionResetError(errno.ECONNRESET, NOT_READ)
                if earned:
                    self._enter(sock)
        finally:
            with self.lock:
                self.waiting.pop(sock, None)

    def _enter(self, sock: "LimitedSocket") -> None:
        with self.lock:
            self.waiting[sock] = time.monotonic()
            longest = min(self.waiting, key=self.waiting.__getitem__) if len(self.waiting) > self.most else None
            if longest:
                del self.waiting[longest]
        if longest:
            with suppress(OSError):
                longest.shutdown(socket.SHUT_RDWR)


class LimitedSocket(socket.socket):
    """A socket that never blocks, except for an answer that its peer reads slowly."""

    def __init__(self, accepted: socket.socket, senders: Senders) -> None:
        """Take over the accepted socket."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        self.senders = senders
        self.time_left = senders.limits.answer
        with suppress(OSError):  # a unix socket has no such option
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            # What is left in the kernel when the thread is gone.
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * senders.limits.answer))

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001
        """Stay as it is: gunicorn would have it block without end."""

    def settimeout(self, value: float | None) -> None:
        """Stay as it is."""

    def queued(self) -> int:
        """Return how many bytes the peer has not taken yet."""
        return int(struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, b"\0" * 4))[0])

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything. Raises OSError for a peer that is gone, does not read, or reads too slowly."""
        rest = memoryview(data)
        while rest:
            try:
                sent = self.send(rest, flags)
            except BlockingIOError:
                self.senders.wait(self)
            except TimeoutError as error:  # of TCP_USER_TIMEOUT
                raise ConnectionResetError(errno.ECONNRESET, NOT_READ) from error
            else:
                rest = rest[sent:]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a part of a file, as `sendall` does."""
        file.seek(offset)
        left = count or 0
        while left and (block := file.read(min(left, BLOCK_BYTES))):
            self.sendall(block)
            left -= len(block)
        return (count or 0) - left
