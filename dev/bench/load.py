"""Requests by the thousand from one thread: bytes made beforehand, one selector, answers understood afterwards."""

import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HOST = "127.0.0.1"
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True)
class HttpAnswer:
    """One answer: its status, its body, and the seconds from the first byte sent to the last one read."""

    status: int
    seconds: float
    body: bytes


@dataclass(frozen=True)
class LoadResult:
    """What a number of requests came to, and the seconds from the first one sent to the last one answered."""

    responses: list[HttpAnswer]
    seconds: float
    own_cpu: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.responses) / self.seconds

    @property
    def idle(self) -> float:
        """The share of the time in which the generator had nothing to do: near 0, it was the bottleneck itself."""
        return 1 - self.own_cpu / self.seconds

    def slowest(self, share: float = 0.01) -> float:
        """Return the seconds that all but `share` of the answers took at most."""
        return sorted(answer.seconds for answer in self.responses)[int(len(self.responses) * (1 - share)) - 1]


def build_request(method: str, path: str, token: str, **headers: str) -> bytes:
    """Return a request without a body, as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {token}", "Accept: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Length: 0"] if method != "GET" else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class LoadConnection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self.read = b""

    def send(self, asked: bytes) -> None:
        """Send a request."""
        self.since, self.read = time.perf_counter(), b""
        self.socket.sendall(asked)

    def take(self) -> HttpAnswer | None:
        """Read what there is, and return the answer when it is whole. Raises ConnectionError when the other side hung up."""
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionError("the server hung up")
        self.read += got
        head, found, body = self.read.partition(END_OF_HEAD)
        if not found or len(body) < content_length(head):
            return None
        return HttpAnswer(int(head[9:12]), time.perf_counter() - self.since, body)


def content_length(head: bytes) -> int:
    """Return how long the body is that this head announces."""
    lower = head.lower()
    at = lower.index(LENGTH) + len(LENGTH)
    return int(lower[at:].split(b"\r\n", 1)[0])


def send_all(port: int, requests: Iterable[bytes], connections: int) -> LoadResult:
    """Send the requests in their order over so many connections, each its next when its last was answered.

    Raises ConnectionError when the server hangs up.
    """
    lines = [LoadConnection(port) for _ in range(connections)]
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        responses = list(iter_answers(lines, iter(requests)))
        return LoadResult(responses, time.perf_counter() - begun, time.process_time() - cpu)
    finally:
        for line in lines:
            line.socket.close()


def iter_answers(lines: list[LoadConnection], waiting: Iterator[bytes]) -> Iterator[HttpAnswer]:
    """Yield the answers as they come."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
        busy = sum(send_next(line, waiting) for line in lines)
        while busy:
            for key, _ in selector.select():
                if answer := key.data.take():
                    yield answer
                    busy -= not send_next(key.data, waiting)


def send_next(line: LoadConnection, waiting: Iterator[bytes]) -> bool:
    """Send the next request, if there is one, and return whether there was."""
    asked = next(waiting, None)
    if asked is not None:
        line.send(asked)
    return asked is not None
