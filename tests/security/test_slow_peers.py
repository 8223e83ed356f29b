"""Hundreds of slow and silent clients delay no other request and are disconnected."""

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.chaos.slow_peers import KINDS, LARGE, PEERS, Peer, Peers
from dev.race import web_server

SHORT = {
    "REQUEST_HEAD_TIMEOUT_MS": "3000",
    "REQUEST_BODY_TIMEOUT_MS": "3000",
    "ANSWER_TIMEOUT_MS": "3000",
}
ENVIRON = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "LOG_LEVEL": "ERROR"} | SHORT
ANSWER_SECONDS = 30  # far more than an answer takes
CUT_SECONDS = 60  # far more than the limits above
WEB = ("--workers", "1", "--threads", "4", "--keep-alive", "3")


@pytest.fixture(scope="module")
def server() -> Iterator[web_server.Web]:
    with web_server.web_server(ENVIRON, *WEB) as serving:
        yield serving


def status(server: web_server.Web, method: str = "GET", path: str = "/healthz", body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection(web_server.HOST, server.port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def open_files(server: web_server.Web) -> int:
    """Return how many files and sockets the one worker holds."""
    (worker,) = server.workers()
    return sum(1 for _ in Path(f"/proc/{worker}/fd").iterdir())


def is_cut(peer: Peer, deadline: float) -> bool:
    """Read what there is until the server hangs up; tell whether it did in time."""
    with contextlib.suppress(ConnectionError):
        peer.sock.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            while peer.sock.recv(65536):
                pass
        except TimeoutError:
            return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_slow_clients_delay_no_request_and_are_cut(server: web_server.Web, kind: str) -> None:
    before = open_files(server)
    with Peers(server.port, [KINDS[kind]() for _ in range(PEERS)], again=CUT_SECONDS) as peers:
        answers = [status(server) for _ in range(20)]
        large = status(server, path=LARGE)
        posted = status(server, "POST", "/api/v1/auth/token/", b"{}")

        assert peers.opened == PEERS
        assert answers == [200] * 20
        assert (large, posted) == (200, 415)
        deadline = time.monotonic() + CUT_SECONDS
        while open_files(server) > before + PEERS / 100 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert open_files(server) <= before + PEERS / 100


def test_connections_over_the_limit_close_the_oldest_idle_ones() -> None:
    with web_server.web_server(ENVIRON | {"REQUEST_HEAD_TIMEOUT_MS": "600000"}, *WEB, "--worker-connections", "50") as server:
        with Peers(server.port, [Peer(b"G") for _ in range(200)]) as peers:
            answers = [status(server) for _ in range(20)]
            oldest = [is_cut(peer, time.monotonic() + CUT_SECONDS) for peer in peers.peers[:100]]
            newest = is_cut(peers.peers[-1], time.monotonic() + 0.1)

    assert answers == [200] * 20
    assert (all(oldest), newest) == (True, False)


def raw(server: web_server.Web, *parts: bytes, pause: float = 0.05) -> bytes:
    """Send the parts one after the other and return all that comes back until the server hangs up."""
    with socket.create_connection((web_server.HOST, server.port), timeout=ANSWER_SECONDS) as sock:
        for part in parts:
            sock.sendall(part)
            time.sleep(pause)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_request_that_comes_in_pieces_is_answered(server: web_server.Web) -> None:
    request = b"POST /api/v1/auth/token/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head = request + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"

    answer = raw(server, *(bytes([byte]) for byte in head + b"{}"), pause=0.002)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"errors"' in answer


def test_pipelined_requests_are_answered_in_order(server: web_server.Web) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    post = (
        b"POST /api/v1/auth/token/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )

    answer = raw(server, get + b"\r\n" + post + get + b"\r\n" + get + b"Connection: close\r\n\r\n")

    assert [int(part[:4]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 400, 200, 200]


def test_a_connection_is_kept_between_requests(server: web_server.Web) -> None:
    with socket.create_connection((web_server.HOST, server.port), timeout=ANSWER_SECONDS) as sock:
        for _ in range(250):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b'{"status": "ok"}')


def test_expect_continue_is_answered_once(server: web_server.Web) -> None:
    head = b"POST /api/v1/auth/token/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nExpect: 100-continue\r\n"

    answer = raw(server, head + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n", b"{}", pause=0.5)

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400")
    assert answer.count(b"100 Continue") == 1


def test_slow_request_gets_a_408(server: web_server.Web) -> None:
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


def test_slow_reader_gets_the_whole_response(server: web_server.Web) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.settimeout(ANSWER_SECONDS)
        sock.connect((web_server.HOST, server.port))
        sock.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while part := sock.recv(32768):
            received += part
            time.sleep(0.15)  # longer than the limit for a silent reader, in all

    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    assert len(body) == length > 1_000_000
