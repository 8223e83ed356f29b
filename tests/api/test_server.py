"""The web server's worker: a connection stays with its thread while nobody waits for one."""

import http.client
import os
import threading
from collections.abc import Iterator

import pytest

from wallet.proofs import web


@pytest.fixture(scope="module")
def server() -> Iterator[web.Web]:
    environ = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "LOG_LEVEL": "ERROR"}
    with web.server(environ, "--workers", "1", "--threads", "2") as serving:
        yield serving


def connected(server: web.Web) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(web.HOST, server.port, timeout=20)


def asked(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    response.read()
    return response.status


def test_one_connection_is_answered_as_often_as_it_asks(server: web.Web) -> None:
    connection = connected(server)

    assert {asked(connection) for _ in range(250)} == {200}


def test_who_waits_for_a_thread_gets_one_while_others_never_pause(server: web.Web) -> None:
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


def test_a_client_that_hangs_up_frees_its_thread(server: web.Web) -> None:
    for _ in range(10):
        connection = connected(server)
        asked(connection)
        connection.close()

    assert asked(connected(server)) == 200
