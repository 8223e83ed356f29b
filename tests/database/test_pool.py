"""The connection pool after the loss of its server."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from psycopg_pool import PoolTimeout

from cashback.database.base import Pool, is_connection_alive
from dev.chaos.proxy import Pair, Proxy, proxy_socket
from kernel.connection_reservation import reserved_connections
from kernel.transactions import atomic_with_retry

pytestmark = pytest.mark.django_db(transaction=True)
End = Callable[[list[psycopg.Connection[Any]]], None]


def parameters(**more: Any) -> dict[str, Any]:
    """Return how this test's database is reached."""
    found = connection.get_connection_params()
    return {name: found[name] for name in ("dbname", "user", "host", "port")} | {"autocommit": True} | more


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(kwargs=parameters(), min_size=3, max_size=3, timeout=2, reconnect_timeout=0.25, open=True) as made:
        made.wait()
        yield made


@pytest.fixture
def end_sessions() -> End:
    """End sessions as a server that goes away does, and wait until the clients could know."""

    def end(sessions: list[psycopg.Connection[Any]]) -> None:
        with psycopg.connect(**parameters()) as killer:
            for session in sessions:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", [session.info.backend_pid])

    return end


def test_pool_replaces_dead_connections(pool: Pool, end_sessions: End) -> None:
    dead = list(pool._pool)
    end_sessions(dead)

    # psycopg's own pool sleeps a second after the second dead one that it finds.
    with_luck = pool.getconn(timeout=0.9)

    assert with_luck not in dead
    assert with_luck.execute("SELECT 1").fetchone() == (1,)
    pool.putconn(with_luck)
    assert all(each.closed for each in dead)


def test_pool_checks_connections_without_a_query(pool: Pool) -> None:
    first = pool.getconn()
    first.execute("SELECT 'the last question'")
    pool.putconn(first)
    while pool.getconn() is not first:
        pass

    with psycopg.connect(**parameters()) as onlooker:
        query = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        assert onlooker.execute(query, [first.info.backend_pid]).fetchone() == ("SELECT 'the last question'",)
    assert is_connection_alive(first)
    pool.putconn(first)


def test_waiting_thread_gets_a_connection_when_the_server_recovers(tmp_path: Path) -> None:
    real = Path(f"{parameters()['host']}/.s.PGSQL.{parameters()['port'] or 5432}")
    address = proxy_socket(tmp_path / "address")
    with Proxy(Pair, tmp_path / "nobody", address) as proxy:
        how = parameters(host=str(address.parent))
        with Pool(kwargs=how, min_size=1, max_size=2, timeout=15, reconnect_timeout=0.25, open=True) as pool:
            threading.Timer(1.5, lambda: setattr(proxy, "target", real)).start()

            served = pool.getconn()

            assert served.execute("SELECT 1").fetchone() == (1,)
            pool.putconn(served)


def test_prepared_statement_is_planned_once_per_connection() -> None:
    connection.close()  # what was prepared before
    for number in range(3):
        with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # ours: cashback.database
            cursor.execute("SELECT %s::int + 1", [number])
            assert cursor.fetchone() == (number + 1,)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int + 1'"
        )
        assert cursor.fetchall() == [(2,)]


def test_other_work_does_not_take_reserved_connections() -> None:
    with Pool(kwargs=parameters(), min_size=1, max_size=4, timeout=0.2, reserved=2, open=True) as pool:
        others = [pool.getconn(), pool.getconn()]
        with pytest.raises(PoolTimeout):
            pool.getconn()

        with reserved_connections():
            claims = [pool.getconn(), pool.getconn()]
            with pytest.raises(PoolTimeout):
                pool.getconn()

        pool.putconn(others.pop())
        others.append(pool.getconn())
        for each in [*others, *claims]:
            pool.putconn(each)


def test_returned_reserved_connection_is_not_lent_to_other_work() -> None:
    with Pool(kwargs=parameters(), min_size=1, max_size=2, timeout=0.2, reserved=1, open=True) as pool:
        held = pool.getconn()
        with reserved_connections():
            pool.putconn(pool.getconn())

        with pytest.raises(PoolTimeout):
            pool.getconn()
        pool.putconn(held)
        pool.putconn(pool.getconn())


def test_a_session_whose_answers_are_out_of_step_is_a_lost_connection() -> None:
    """As when a pooler forwards the end of a server's session in the middle of an answer."""

    def answer_twice() -> None:
        session = connection.connection
        with connection.wrap_database_errors:
            session.wait(session._exec_command(b"SELECT 1; SELECT 2"))  # one command, two results

    @atomic_with_retry(idempotent=True)
    def act() -> str:
        attempts.append(connection.connection)
        if len(attempts) == 1:
            answer_twice()
        return "done"

    attempts: list[Any] = []

    assert act() == "done"
    assert len(set(map(id, attempts))) == 2
    assert attempts[0].closed

    session = connection.connection
    with pytest.raises(OperationalError):
        answer_twice()
    assert session.closed
