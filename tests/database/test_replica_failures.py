"""A replica that is gone, or that goes away during a read, costs time and never an error."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from accounts.models import User
from dev.services import postgres
from kernel import replicas
from kernel.replicas import REPLICA
from tests.database.conftest import Pair
from tests.database.test_replica_reads import CREDITS, LIST, START, statements
from tests.database.test_standby import caller, visitor
from wallet.assets.models import CashbackAsset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rates")]


def test_killed_replica_causes_no_error_and_is_used_again(replica: Pair, root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "RETRY_SECONDS", 0.5)
    console, api, seen = visitor(root), caller(root), list[int]()
    thread = threading.Timer(0.5, replica.standby.kill)
    thread.start()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        seen.append(console.get(LIST).status_code)
        seen.append(api.get(CREDITS, {"search": "x"}, **START).status_code)
    thread.join()
    assert set(seen) == {200}
    assert replicas.UNREACHABLE.count + replicas.FAILED.count > 0

    postgres.start_postgres(replica.standby.instance)
    time.sleep(0.6)
    with statements(REPLICA) as at_replica:
        assert console.get(LIST).status_code == 200
    assert at_replica


def test_dead_replica_is_not_tried_by_each_request(replica: Pair, root: User) -> None:
    postgres.stop_postgres(replica.standby.instance)
    connections[REPLICA].close()
    console, before = visitor(root), replicas.UNREACHABLE.count

    assert [console.get(LIST).status_code for _ in range(5)] == [200] * 5

    assert replicas.UNREACHABLE.count == before + 1


def test_read_that_the_replica_interrupts_is_repeated_at_the_primary(
    replica: Pair, issue: Callable[..., CashbackAsset], root: User
) -> None:
    issue(title="Whole")
    replica.catch_up()
    console = visitor(root)
    for address in (LIST, "/admin/", "/admin/ledger/claimedasset/export/csv/?bom=1", "/admin/reports/journal/"):
        whole, before = body(console.get(address)), replicas.FAILED.count
        with interrupted_reads(replica):
            page = console.get(address)

        assert (page.status_code, replicas.FAILED.count) == (200, before + 1)
        content = body(page)
        assert (b"Whole" in content) == (b"Whole" in whole)
        assert content[:3] == whole[:3]  # the byte order mark that the first attempt was asked for


def body(page: Any) -> bytes:
    return b"".join(page.streaming_content) if page.streaming else bytes(page.content)


@contextmanager
def interrupted_reads(replica: Pair) -> Iterator[None]:
    """End the session with the replica before its third statement."""
    number = 0

    def interrupt(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal number
        number += 1
        if number == 3:
            with replica.session_at(replica.standby) as stranger:
                stranger.execute("SELECT pg_terminate_backend(%s, 5000)", [connections[REPLICA].connection.info.backend_pid])
        return execute(sql, *rest)

    with connections[REPLICA].execute_wrapper(interrupt):
        yield


def test_repeated_read_is_counted_once_against_its_rate(replica: Pair, root: User) -> None:
    with replicas.offering(replicas.START) as offer:
        assert not replicas.is_repetition()
        offer.failed = True
        assert replicas.is_repetition()
        assert replicas.choose_server() == "default"


def test_read_that_takes_too_long_at_the_replica_is_not_repeated(replica: Pair) -> None:
    with replicas.offering(replicas.START) as offer, replicas.reading_from(REPLICA):
        with pytest.raises(Exception, match="statement timeout"), connections[REPLICA].cursor() as cursor:
            cursor.execute("SET statement_timeout = 20; SELECT pg_sleep(5)")
        assert not offer.failed
