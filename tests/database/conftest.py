"""A hot standby of the test's own server, behind an address that leads to either of the two."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from pytest_django import Settings

from dev.chaos import test_servers
from dev.chaos.test_servers import TestServers
from dev.services import paths, postgres
from dev.services.paths import InstancePaths
from kernel import replicas
from kernel.replicas import REPLICA

SECONDS = 20.0


class Pair:
    """A primary (the test's server) and its standby, and one address that leads to one of them, as behind a router."""

    def __init__(self, made: Path) -> None:
        self.primary = TestServers(InstancePaths(made, "prove", paths.instance_paths().folder))
        self.standby = self.primary.copy("standby", "--write-recovery-conf", "--wal-method=stream")
        conninfo = f"host={self.primary.instance.run} port={paths.POSTGRES_PORT} user={postgres.ROLE}"
        self.standby.configure(primary_conninfo=conninfo, hot_standby="on")
        postgres.start_postgres(self.standby.instance)
        self.address = made / "address"
        paths.make_folder(self.address, 0o755)
        self.lead_to(self.standby)

    def lead_to(self, server: TestServers) -> None:
        """Have the address lead to the other server; sessions that are open stay where they are."""
        entry = self.address / server.instance.postgres_socket.name
        entry.unlink(missing_ok=True)
        entry.symlink_to(server.instance.postgres_socket)

    def session_at(self, server: TestServers) -> psycopg.Connection[Any]:
        """Return a session of a stranger with a server."""
        found = connection.get_connection_params()
        names = {name: found[name] for name in ("dbname", "user", "port")}
        return psycopg.connect(**names, host=str(server.instance.run), autocommit=True)

    def catch_up(self) -> None:
        """Wait until the standby shows all that the primary has committed."""
        with self.session_at(self.primary) as primary, self.session_at(self.standby) as standby:
            position = primary.execute("SELECT pg_current_wal_lsn()").fetchone()
            deadline = time.monotonic() + SECONDS
            while standby.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position).fetchone() != (True,):
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(0.02)

    def stop_following(self) -> None:
        """Have the standby receive nothing more, as an asynchronous one that is cut off: what is committed now is lost."""
        with self.session_at(self.standby) as standby:
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + SECONDS
            while standby.execute("SELECT FROM pg_stat_wal_receiver").fetchone() is not None:
                assert time.monotonic() < deadline, "the standby still follows"
                time.sleep(0.02)

    def fail_over(self) -> None:
        """Promote the standby and have the address lead to it; the old primary is not asked again."""
        self.promote()
        self.lead_to(self.standby)
        connections.close_all()

    def pause(self) -> None:
        """Have the standby receive, and show nothing more until `resume`."""
        with self.session_at(self.standby) as session:
            session.execute("SELECT pg_wal_replay_pause()")
            deadline = time.monotonic() + SECONDS
            while session.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
                assert time.monotonic() < deadline, "the standby goes on"
                time.sleep(0.01)

    def resume(self) -> None:
        """Have the standby catch up."""
        with self.session_at(self.standby) as session:
            session.execute("SELECT pg_wal_replay_resume()")
        self.catch_up()

    def delay(self, seconds: float) -> None:
        """Have the standby show each commit so many seconds later."""
        with self.session_at(self.standby) as session:
            session.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = '{int(seconds * 1000)}ms'")
            session.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make the standby a primary of its own."""
        with self.session_at(self.standby) as session:
            assert session.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)


@pytest.fixture
def pair(django_db_setup: None) -> Iterator[Pair]:
    """Both servers; Django goes on with the primary until a test says otherwise."""
    if "DATABASE_URL" in os.environ:
        pytest.skip("only a server of the tests' own is copied")
    with test_servers.servers_folder() as made:
        two = Pair(made)
        try:
            yield two
        finally:
            postgres.stop_postgres(two.standby.instance)
            shutil.rmtree(two.standby.instance.folder, ignore_errors=True)


@pytest.fixture
def no_rates(settings: Settings) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def by_address(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Django reaches its database by the pair's address, which leads to the standby, once `go` is called."""
    yield from reached(pair, monkeypatch)


@pytest.fixture
def pooled_by_address(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """The same, with a pool of three sessions."""
    yield from reached(pair, monkeypatch, pool={"min_size": 3, "max_size": 3, "timeout": 5, "max_idle": 600})


def reached(pair: Pair, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[Pair]:
    """Have Django ask at the address, until the test is over."""

    def go() -> None:
        pair.catch_up()
        connections.close_all()
        settings = connection.settings_dict
        monkeypatch.setitem(settings, "HOST", str(pair.address))
        monkeypatch.setitem(settings, "OPTIONS", settings["OPTIONS"] | options)

    pair.go = go  # type: ignore[attr-defined]
    yield pair
    connections.close_all()
    connection.close_pool()  # type: ignore[attr-defined]  # ours: cashback.database
    monkeypatch.undo()


@pytest.fixture
def replica(pair: Pair, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """The standby is the replica of a deployment with DATABASE_REPLICA_URL."""
    with connection.cursor() as cursor:  # a standby that has replayed nothing yet does not know how late it is
        cursor.execute("CREATE TABLE earlier (); DROP TABLE earlier")
    pair.catch_up()
    standby = connection.copy(alias=REPLICA)
    standby.settings_dict["HOST"] = str(pair.standby.instance.run)
    standby.settings_dict["OPTIONS"]["options"] += " -c default_transaction_read_only=on"
    connections[REPLICA] = standby
    settings.DATABASE_ROUTERS = ["cashback.database.router.ReplicaRouter"]
    middleware = [*settings.MIDDLEWARE]
    middleware.insert(
        middleware.index("cashback.http.request_connections.ConnectionMiddleware") + 1,
        "cashback.http.replica.ReplicaMiddleware",
    )
    settings.MIDDLEWARE = middleware
    monkeypatch.setattr(replicas, "CIRCUIT", replicas.Circuit())
    yield pair
    standby.close()
    del connections[REPLICA]
