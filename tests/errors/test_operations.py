"""Endpoints for load balancers and monitoring."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from cashback.settings import SECURE_REDIRECT_EXEMPT


@pytest.fixture
def _dead_redis(settings: Settings, tmp_path: Path) -> None:
    default = django_settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/nobody.sock"}
    settings.CACHES = django_settings.CACHES | {"default": default}


@pytest.fixture
def _dead_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the database is a folder without a listening socket."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")


def test_healthz_needs_no_database(client: Client, django_assert_num_queries: DjangoAssertNumQueries, db: None) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_ready_means_reachable_and_migrated(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, db: None
) -> None:
    with django_assert_num_queries(3):  # is there a table of migrations, what is in it, and are writes taken
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "database": "ok", "redis": "ok"})


def test_a_missing_migration_is_not_ready(client: Client, db: None) -> None:
    MigrationRecorder(connection).record_unapplied("accounts", "0002_token_families")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "database": "1 migration missing", "redis": "ok"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_dead_database")
def test_a_database_out_of_reach_is_not_ready_and_the_process_lives(client: Client) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
    assert client.get("/healthz").status_code == 200
    assert "cashback_database_up 0.0" in client.get("/metrics").content.decode()


@pytest.mark.usefixtures("_dead_redis", "db")
def test_redis_is_reported_and_not_needed(client: Client) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["redis"]) == (200, "unreachable")
    assert "cashback_redis_up 0.0" in client.get("/metrics").content.decode()


def test_metrics_are_prometheus_text_and_cheap(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, db: None
) -> None:
    with django_assert_num_queries(4):
        answer = client.get("/metrics")

    lines = answer.content.decode().splitlines()
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "cashback_database_up 1.0" in lines
    assert any(line.startswith('cashback_rows{table="ledger_entry"} ') for line in lines)
    assert all(line.startswith("# ") or len(line.rsplit(" ", 1)) == 2 for line in lines)


@pytest.mark.parametrize(
    "call",
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, [], 404),
        ({"REMOTE_ADDR": "::1"}, [], 404),
        ({"REMOTE_ADDR": "127.0.0.1"}, ["127.0.0.0/8"], 200),
        ({"REMOTE_ADDR": "::1"}, ["::1/128"], 200),
        ({"REMOTE_ADDR": "192.0.2.1"}, [], 404),
        ({"REMOTE_ADDR": "192.0.2.1"}, ["192.0.2.0/24"], 200),
        ({"REMOTE_ADDR": "192.0.2.1"}, ["2001:db8::/32"], 404),
        ({"REMOTE_ADDR": ""}, ["0.0.0.0/0"], 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}, ["127.0.0.0/8"], 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=192.0.2.1"}, ["127.0.0.0/8"], 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "192.0.2.1"}, ["127.0.0.0/8"], 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_VIA": "1.1 proxy"}, ["127.0.0.0/8"], 404),
        ({"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, [], 404),
    ],
)
def test_metrics_are_for_those_on_the_list(client: Client, db: None, settings: Settings, call: Any) -> None:
    caller, allowed, status = call
    settings.METRICS_ALLOWED = [ip_network(network) for network in allowed]

    assert client.get("/metrics", **caller).status_code == status


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ({}, 200),
        ({"X_FORWARDED_FOR": "127.0.0.1"}, 200),
        ({"X_FORWARDED_FOR": "203.0.113.1"}, 404),
        ({"X_FORWARDED_FOR": "203.0.113.1:11000"}, 404),
        ({"X_FORWARDED_FOR": "[2001:db8::1]:11000"}, 404),
        ({"X_FORWARDED_FOR": "unknown"}, 404),
        ({"X_FORWARDED_FOR": "_hidden"}, 404),
        ({"X_FORWARDED_FOR": "127.0.0.1, rubbish"}, 404),
        ({"X_FORWARDED_FOR": "127.0.0.1,"}, 404),
        ({"X_FORWARDED_FOR": ""}, 404),
        ({"X_FORWARDED_PROTO": "https"}, 404),
        ({"FORWARDED": "for=127.0.0.1"}, 404),
    ],
)
def test_metrics_stay_closed_when_a_trusted_proxy_names_no_local_client(
    client: Client, db: None, settings: Settings, forwarded: dict[str, str], status: int
) -> None:
    settings.TRUSTED_PROXIES, settings.METRICS_ALLOWED = 1, [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    headers: Any = {f"HTTP_{name}": value for name, value in forwarded.items()}

    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1", **headers).status_code == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_they_are_only_read_and_work_without_tls(client: Client, db: None, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = SECURE_REDIRECT_EXEMPT

    assert client.post(path).status_code in (403, 405)
    assert client.head(path).status_code == 200
    assert client.get("/sign-in/").status_code == 301
