"""A load generator in one thread: prepared requests, one selector, responses parsed afterwards."""

import json
import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HOST = "127.0.0.1"
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True)
class HttpResponse:
    """One response: its status, its body, and the seconds from the first byte sent to the last byte read."""

    status: int
    seconds: float
    body: bytes


@dataclass(frozen=True)
class LoadResult:
    """The responses to a number of requests, and the seconds from the first request to the last response."""

    responses: list[HttpResponse]
    seconds: float
    own_cpu: float

    @property
    def rate(self) -> float:
        """Responses a second."""
        return len(self.responses) / self.seconds

    @property
    def idle(self) -> float:
        """The share of time in which the generator was idle: near 0, the generator is the bottleneck."""
        return 1 - self.own_cpu / self.seconds

    def slowest(self, share: float = 0.01) -> float:
        """Return the response time that all but `share` of the responses stay within, in seconds."""
        return sorted(response.seconds for response in self.responses)[int(len(self.responses) * (1 - share)) - 1]


def build_request(method: str, path: str, token: str, body: object = None, **headers: str) -> bytes:
    """Return the bytes of a request.

    Arguments:
        token: of a user; another kind of authorization is given as a header.
        body: sent as JSON; None: no body.
    """
    content = "" if body is None else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"} | headers
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Accept: application/json"]
    lines += ["Content-Type: application/json"] if content else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(content)}"] if method != "GET" else []
    return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()


class LoadConnection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self.read = b""

    def send(self, request: bytes) -> None:
        """Send a request."""
        self.since, self.read = time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> HttpResponse | None:
        """Read available data, and return the response when it is complete. Raises ConnectionError when the server closed."""
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionError("the server closed the connection")
        self.read += got
        head, found, body = self.read.partition(END_OF_HEAD)
        if not found or len(body) < content_length(head):
            return None
        return HttpResponse(int(head[9:12]), time.perf_counter() - self.since, body)


def content_length(head: bytes) -> int:
    """Return the length of the body from the head of a response."""
    lower = head.lower()
    at = lower.index(LENGTH) + len(LENGTH)
    return int(lower[at:].split(b"\r\n", 1)[0])


def send_all(port: int, requests: Iterable[bytes], connections: int) -> LoadResult:
    """Send the requests in order over that many connections, each with one request in flight.

    Raises ConnectionError when the server closes a connection.
    """
    lines = [LoadConnection(port) for _ in range(connections)]
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        responses = list(iter_responses(lines, iter(requests)))
        return LoadResult(responses, time.perf_counter() - begun, time.process_time() - cpu)
    finally:
        for line in lines:
            line.socket.close()


def iter_responses(lines: list[LoadConnection], requests: Iterator[bytes]) -> Iterator[HttpResponse]:
    """Yield the responses as they arrive."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
        busy = sum(send_next(line, requests) for line in lines)
        while busy:
            for key, _ in selector.select():
                if response := key.data.receive():
                    yield response
                    busy -= not send_next(key.data, requests)


def send_next(line: LoadConnection, requests: Iterator[bytes]) -> bool:
    """Send the next request, if any; return whether there was one."""
    request = next(requests, None)
    if request is not None:
        line.send(request)
    return request is not None
