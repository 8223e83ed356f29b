"""The web server's worker: keep-alive connections, fairness between them, and pinning to cores."""

import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cashback.gunicorn_worker.connection_counts import MAX_WORKERS, NO_WORKER, ConnectionCounts
from cashback.gunicorn_worker.polling import PollingWorker
from dev.race import processes, web_server

ENVIRON = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "LOG_LEVEL": "ERROR"}


@pytest.fixture(scope="module")
def server() -> Iterator[web_server.Web]:
    with web_server.web_server(ENVIRON, "--workers", "1", "--threads", "2") as serving:
        yield serving


def connected(server: web_server.Web) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(web_server.HOST, server.port, timeout=20)


def asked(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    response.read()
    return response.status


def test_one_connection_can_send_many_requests(server: web_server.Web) -> None:
    connection = connected(server)

    assert {asked(connection) for _ in range(250)} == {200}


def test_new_connection_is_served_while_others_send_without_pause(server: web_server.Web) -> None:
    over = threading.Event()
    counts = [0, 0, 0]

    def hammer(number: int) -> None:
        connection = connected(server)
        while not over.is_set():
            counts[number] += asked(connection) == 200

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        late = connected(server)
        answers = [asked(late) for _ in range(20)]
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert answers == [200] * 20
    assert min(counts) > 0


def test_closed_connection_frees_its_thread(server: web_server.Web) -> None:
    for _ in range(10):
        connection = connected(server)
        asked(connection)
        connection.close()

    assert asked(connected(server)) == 200


def received_at_once(server: web_server.Web, request: bytes) -> bytes:
    """Return what a first single read yields after the request."""
    with socket.create_connection((web_server.HOST, server.port), timeout=20) as peer:
        peer.sendall(request)
        return peer.recv(65536)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_small_response_arrives_in_one_packet(server: web_server.Web, method: str) -> None:
    request = f"{method} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    for _ in range(20):
        head, end, body = received_at_once(server, request).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert end
        assert bool(body) == (method == "GET")


def cores_of(pid: int) -> set[int]:
    """Return the cores a worker may use; all of them when it has just ended."""
    try:
        return os.sched_getaffinity(pid)
    except ProcessLookupError:
        return os.sched_getaffinity(0)


def wait_for_workers(server: web_server.Web, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while len(pids := server.workers()) != count or any(len(cores_of(pid)) != 1 for pid in pids):
        assert time.monotonic() < deadline, "the workers do not come back, or keep to no core"
        time.sleep(0.02)
    return pids


def test_workers_and_their_replacements_are_pinned_to_cores_evenly() -> None:
    cores = sorted(os.sched_getaffinity(0))

    with web_server.web_server(ENVIRON, "--workers", str(2 * len(cores)), "--threads", "2", "--preload") as server:
        for _ in range(3):
            pids = wait_for_workers(server, 2 * len(cores))
            assert sorted(core for pid in pids for core in os.sched_getaffinity(pid)) == sorted(2 * cores)
            os.kill(pids[-1], signal.SIGKILL)
            processes.wait_for_exit(pids[-1])


def test_workers_are_not_pinned_when_cores_do_not_divide_evenly() -> None:
    cores = os.sched_getaffinity(0)
    workers = len(cores) + 1

    with web_server.web_server(ENVIRON, "--workers", str(workers), "--threads", "2", "--preload") as server:
        assert asked(connected(server)) == 200
        expected = cores if workers % len(cores) else set[int]()
        assert all(not expected or os.sched_getaffinity(pid) == expected for pid in server.workers())


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def open_sockets(server: web_server.Web) -> Counter[int]:
    """Return the number of open sockets of each worker."""
    files = {pid: Path(f"/proc/{pid}/fd").iterdir() for pid in server.workers()}
    return Counter({pid: sum(str(file.readlink()).startswith("socket:") for file in opened) for pid, opened in files.items()})


def new_peers(server: web_server.Web, count: int) -> list[socket.socket]:
    """Return connections that were opened at once and have been answered; they stay open."""
    peers = [socket.create_connection((web_server.HOST, server.port), timeout=20) for _ in range(count)]
    for peer in peers:
        peer.sendall(REQUEST)
    assert all(peer.recv(65536).startswith(b"HTTP/1.1 200") for peer in peers)
    return peers


def wait_until_started(server: web_server.Web, count: int) -> Counter[int]:
    """Return the sockets of each worker, without connections, once this many workers accept connections."""
    deadline = time.monotonic() + 20
    while len(before := open_sockets(server)) != count or len(set(before.values())) != 1 or 0 in before.values():
        assert time.monotonic() < deadline, "the workers do not start"
        time.sleep(0.05)
    return before


def spread_over_workers(server: web_server.Web) -> int:
    """Open 30 connections at once, close them, and return how many more of them one worker had than another."""
    before = wait_until_started(server, 3)
    peers = new_peers(server, 30)
    accepted = open_sockets(server)
    accepted.subtract(before)
    for peer in peers:
        peer.close()
    assert accepted.total() == 30
    return max(accepted.values()) - min(accepted.values())


def test_connections_are_distributed_evenly_over_workers() -> None:
    with web_server.web_server(ENVIRON, "--workers", "3", "--threads", "2", "--preload") as server:
        spreads = [spread_over_workers(server) for _ in range(5)]

    assert min(spreads) <= 6, spreads  # on a busy machine a worker may not run in the time that another leaves it


def test_replacement_of_a_worker_takes_its_place_without_connections() -> None:
    counts = ConnectionCounts()
    places = [counts.take_place(range(number)) for number in range(3)]
    counts.counts[0], counts.counts[1], counts.counts[2] = 4, 4, 3

    assert [counts.is_ahead(place) for place in range(3)] == [True, True, False]
    assert counts.take_place([0, 2]) == 1
    assert [counts.is_ahead(place) for place in range(3)] == [True, False, True]
    assert counts.take_place(range(MAX_WORKERS)) is None
    assert places == [0, 1, 2]


@pytest.mark.parametrize(("own", "other", "is_ahead"), [(17, 16, True), (16, 16, False), (90, 80, False), (91, 80, True)])
def test_an_eighth_more_of_many_connections_does_not_count(own: int, other: int, is_ahead: bool) -> None:
    counts = ConnectionCounts()
    counts.take_place([])
    counts.take_place([0])
    counts.counts[0], counts.counts[1] = own, other

    assert counts.is_ahead(0) is is_ahead


def test_a_worker_that_exits_is_not_waited_for() -> None:
    counts = ConnectionCounts()
    counts.take_place([])
    counts.take_place([0])
    counts.counts[0], counts.counts[1] = 9, NO_WORKER

    assert not counts.is_ahead(0)


def test_a_worker_without_connections_leaves_its_place_when_it_exits() -> None:
    worker = PollingWorker.__new__(PollingWorker)
    worker.counts = ConnectionCounts()  # type: ignore[misc]
    worker.place, worker.nr_conns, worker._accepting, worker.accepts_from = worker.counts.take_place([]), 0, False, 0.0
    worker.alive = False

    worker.set_accept_enabled(False)

    assert worker.counts.counts[0] == NO_WORKER


def test_a_stopped_worker_keeps_no_connection_from_the_others() -> None:
    with web_server.web_server(ENVIRON, "--workers", "2", "--threads", "2", "--preload") as server:
        before = wait_until_started(server, 2)
        victim, other = server.workers()
        os.kill(victim, signal.SIGSTOP)
        peers = new_peers(server, 12)

        assert (open_sockets(server) - before)[other] == len(peers)
