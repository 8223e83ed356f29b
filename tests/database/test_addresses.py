"""Database addresses and connection timeouts."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, connections
from django.db.utils import ConnectionHandler
from django.test import Client

from accounts.models import User
from cashback import database_env
from cashback.database.base import Pool
from dev.chaos.proxy import Pair as Wire
from dev.chaos.proxy import Proxy, proxy_socket
from dev.services.paths import POSTGRES_PORT
from tests.conftest import PASSWORD
from tests.database.conftest import Pair

LIMITS = {
    "connect_timeout": 2,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 9_000,
}


def read(monkeypatch: pytest.MonkeyPatch, url: str) -> Any:
    """Return a connection as the settings describe it for a DATABASE_URL."""
    monkeypatch.setenv("DATABASE_URL", url)
    return ConnectionHandler({"default": database_env.read_database()})["default"]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port at which connections are taken and never answered, as by a machine that is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_every_connection_has_the_limits_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(monkeypatch, "postgresql://app:secret@db.example.com/shop").get_connection_params()

    assert {name: made[name] for name in LIMITS} == LIMITS


def test_the_url_may_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(monkeypatch, "postgresql://db.example.com/shop?connect_timeout=7&keepalives_idle=60").get_connection_params()

    assert {name: made[name] for name in LIMITS} == LIMITS | {"connect_timeout": 7, "keepalives_idle": 60}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://app:secret@one/shop", "one", None),
        ("postgresql://app:secret@one:5433/shop", "one", 5433),
        ("postgresql://app:secret@one,two/shop", "one,two", None),
        ("postgresql://app:se%2Ccret@one:5433,two:5434/shop", "one,two", "5433,5434"),
        ("postgresql://app:secret@one:5433,two/shop?target_session_attrs=read-write", "one,two", "5433,"),
        ("postgresql://app:secret@[::1]:5433,[fd00::2]:5434/shop", "::1,fd00::2", "5433,5434"),
        ("postgresql://app@:5432/shop?host=/run/one,/run/two", "/run/one,/run/two", 5432),
    ],
)
def test_a_url_names_one_host_or_several(monkeypatch: pytest.MonkeyPatch, url: str, host: str, port: object) -> None:
    made = read(monkeypatch, url).get_connection_params()

    assert (made["host"], made.get("port")) == (host, port)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", ["standby first", "primary first"])
def test_writable_host_of_several_is_used(pair: Pair, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    hosts = [str(server.instance.run) for server in (pair.standby, pair.primary)][:: 1 if order == "standby first" else -1]
    name = connection.settings_dict["NAME"]
    url = f"postgresql://cashback@:{POSTGRES_PORT}/{name}?host={','.join(hosts)}&target_session_attrs=read-write"
    with pair.session_at(pair.primary) as session:
        assert session.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

    made = read(monkeypatch, url)
    with made.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        found = cursor.fetchone()
    made.close()

    assert found == (False,)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pooled", [False, True])
def test_silent_server_fails_within_the_timeout(
    silent: int, pooled: bool, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection.get_connection_params()["connect_timeout"] == 2  # or this would last minutes
    connections.close_all()
    options = connection.settings_dict["OPTIONS"]
    pool = {"pool": {"min_size": 1, "max_size": 2, "timeout": 2}} if pooled else {}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options | pool)
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", str(silent))
    client = Client(raise_request_exception=False)
    try:
        ready, signed_in = client.get("/readyz"), client.post("/sign-in/", {"username": alice.email, "password": PASSWORD})
    finally:
        connections.close_all()
        connection.close_pool()  # type: ignore[attr-defined]  # ours: cashback.database

    assert (ready.status_code, ready.json()["database"]) == (503, "unreachable")
    assert (signed_in.status_code, signed_in.headers["Retry-After"]) == (503, "1")


@pytest.mark.django_db(transaction=True)
def test_waiting_thread_gets_a_connection_when_a_silent_address_recovers(silent: int, tmp_path: Path) -> None:
    found = connection.get_connection_params()
    real = Path(f"{found['host']}/.s.PGSQL.{found['port'] or POSTGRES_PORT}")
    address = proxy_socket(tmp_path / "address")
    with Proxy(Wire, silent, address) as proxy:
        with Pool(kwargs=found | {"host": str(address.parent)}, min_size=4, max_size=4, timeout=20, open=True) as pool:
            threading.Timer(1, lambda: setattr(proxy, "target", real)).start()  # all of the pool's threads are waiting by then

            served = pool.getconn()

            assert served.execute("SELECT 1").fetchone() == (1,)
            pool.putconn(served)


@pytest.mark.django_db
def test_each_of_several_hosts_has_the_limit_of_its_own(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(monkeypatch, f"postgresql://app@127.0.0.1:{silent},127.0.0.1:{silent}/shop")

    with pytest.raises(OperationalError) as error:
        made.ensure_connection()

    assert str(error.value).count("connection timeout expired") == 3  # the last one, and each of both


def test_replica_has_read_only_sessions_and_a_small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgresql://app:secret@one,two:5433/shop")
    monkeypatch.setenv("DATABASE_POOL", "8")
    replica = database_env.read_replica()

    assert (replica["HOST"], replica["OPTIONS"]["pool"]["max_size"], replica["TEST"]) == ("one,two", 4, {"MIRROR": "default"})
    assert "default_transaction_read_only=on" in replica["OPTIONS"]["options"]
    assert "statement_timeout" in replica["OPTIONS"]["options"]


def test_without_a_replica_there_are_no_settings_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_REPLICA_URL", raising=False)
    assert database_env.read_replica() == {}


@pytest.mark.parametrize(("name", "value"), [("DATABASE_REPLICA_URL", "replica.example.com"), ("DATABASE_POOLER", "session")])
def test_wrong_values_refuse_to_start(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgresql://replica.example.com/shop")
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        database_env.read_replica()
