"""Expensive reads from a real standby: what is read there, what never is, and that nobody misses what they just wrote."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from kernel import replicas
from kernel.replicas import REPLICA
from tests.database.conftest import Pair
from tests.database.test_standby import caller, pool_form, visitor
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rates")]
Issue = Callable[..., CashbackAsset]
# 10,000 pairs with a lag of 2 s: REPLICA_PAIRS=10000 pytest tests/database/test_replica_reads.py -k pairs
PAIRS = int(os.environ.get("REPLICA_PAIRS", "40"))
LIST, CREDITS, NEW_POOL = "/admin/ledger/claimedasset/", "/api/v1/assets/", "/admin/assets/creditpool/add/"
START: dict[str, Any] = {"HTTP_X_WALLET_POSITION": "0/0"}


@contextmanager
def statements(alias: str) -> Iterator[list[str]]:
    """Collect the statements that the connection sends."""
    sent: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    with connections[alias].execute_wrapper(note):
        yield sent


@pytest.fixture
def operator(ada: User) -> APIClient:
    return caller(ada)


def issue_by(api: APIClient, title: str, **headers: Any) -> Any:
    fields = {"title": title, "total_value": "1.00", "currency": "INR"}
    return api.post(CREDITS, fields, format="json", **headers)


def titles(api: APIClient, text: str, **headers: Any) -> list[str]:
    answer = api.get(CREDITS, {"search": text}, **headers)
    assert answer.status_code == 200
    return [credit["title"] for credit in answer.json()["results"]]


def test_console_list_is_read_from_the_replica_and_who_asks_from_the_primary(replica: Pair, issue: Issue, root: User) -> None:
    issue(title="Shown")
    replica.catch_up()
    console = visitor(root)

    with statements("default") as at_primary, statements(REPLICA) as at_replica:
        page = console.get(LIST)

    assert b"Shown" in page.content
    assert not [sql for sql in at_primary if "assets_" in sql]
    assert [sql for sql in at_primary if "accounts_user" in sql]
    assert not [sql for sql in at_replica if "session" in sql]
    assert len([sql for sql in at_replica if "assets_cashbackasset" in sql]) >= 2


ADDRESSES = (
    "/admin/",
    "/admin/assets/cashbackasset/",
    "/admin/ledger/claimedasset/owners/",
    "/admin/ledger/claimedasset/export/csv/",
    "/admin/ledger/claimedasset/export/xlsx/",
    "/admin/reports/trial-balance/",
    "/admin/reports/journal/",
)
# What tells a report which transactions are still running, and where the last seal ends.
OF_THE_PRIMARY = ("ledger_lotbackfill", "FROM ledger_seal")


def test_lists_reports_and_exports_of_the_console_leave_the_primary_alone(replica: Pair, root: User) -> None:
    console = visitor(root)
    for address in ADDRESSES:
        with statements("default") as at_primary, statements(REPLICA) as at_replica:
            assert console.get(address).status_code == 200
        heavy = [sql for sql in at_primary if "assets_" in sql or "ledger_" in sql]
        assert (address, [sql for sql in heavy if not any(part in sql for part in OF_THE_PRIMARY)]) == (address, [])
        assert at_replica


def test_call_without_a_position_is_served_by_the_primary(replica: Pair, operator: APIClient) -> None:
    issue_by(operator, "Written without a header")
    with statements(REPLICA) as at_replica:
        assert titles(operator, "Written") == ["Written without a header"]
    assert at_replica == []


def test_read_with_the_position_of_a_write_shows_it_while_the_replica_does_not(replica: Pair, operator: APIClient) -> None:
    replica.pause()
    written = issue_by(operator, "Just written", **START)
    position = {"HTTP_X_WALLET_POSITION": written.headers["X-Wallet-Position"]}

    assert titles(operator, "Just", **START) == []  # the replica is late indeed
    assert titles(operator, "Just", **position) == ["Just written"]

    replica.resume()
    with statements("default") as at_primary:
        assert titles(operator, "Just", **position) == ["Just written"]
    assert not [sql for sql in at_primary if "assets_" in sql]


def test_browser_that_wrote_sees_it_while_the_replica_does_not(replica: Pair, root: User) -> None:
    console = visitor(root)
    replica.pause()

    assert console.post(NEW_POOL, pool_form()).status_code == 302

    cookie = console.cookies["wallet_position"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert b"Holi" in console.get("/admin/assets/creditpool/").content
    assert b"Holi" not in visitor(root).get("/admin/assets/creditpool/").content  # another browser, which wrote nothing
    replica.resume()
    assert b"Holi" in visitor(root).get("/admin/assets/creditpool/").content


def test_pairs_of_a_write_and_a_read_are_never_stale_with_a_lag_of_two_seconds(replica: Pair, ada: User) -> None:
    replica.delay(2)
    stale, late, position = 0, 0, START["HTTP_X_WALLET_POSITION"]
    for number in range(PAIRS):
        if number % 1000 == 0:  # tokens last ten minutes
            operator = caller(ada)
        title = f"Pair {number:06d}"
        position = issue_by(operator, title, HTTP_X_WALLET_POSITION=position).headers["X-Wallet-Position"]
        stale += titles(operator, title, HTTP_X_WALLET_POSITION=position) != [title]
        if number % 20 == 0:
            late += titles(operator, title, **START) != [title]
    print(f"{PAIRS} pairs, {stale} stale; {late} of {(PAIRS + 19) // 20} reads without a position were late")  # noqa: T201

    assert stale == 0
    assert late > 0  # reads did come from the replica


def test_as_of_report_contains_what_was_committed_before_it(
    replica: Pair, issue: Issue, alice: User, operator: APIClient
) -> None:
    asset = issue()
    replica.pause()
    claim_asset(asset.pk, alice)

    report = operator.get("/api/v1/reports/liability/", **START)

    assert report.status_code == 200
    assert sum(float(line["total"]) for line in report.json()["lines"]) == 100.0


def test_a_read_waits_for_the_replica_no_longer_than_its_bound(replica: Pair) -> None:
    replica.pause()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE later (); DROP TABLE later")
    with replicas.offering(replicas.read_wal_position()):
        before, begun = replicas.BEHIND.count, time.monotonic()
        assert replicas.choose_server() == "default"
        waited = time.monotonic() - begun

    assert replicas.WAIT_SECONDS <= waited < replicas.WAIT_SECONDS + 0.5
    assert replicas.BEHIND.count == before + 1


def test_replica_that_is_late_for_too_long_is_not_read(replica: Pair, settings: Settings) -> None:
    settings.DATABASE_REPLICA_MAX_LAG = 1
    with replicas.offering(replicas.START):
        assert replicas.choose_server() == REPLICA
        replica.pause()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE later (); DROP TABLE later")
        time.sleep(1.2)
        assert replicas.choose_server() == "default"


def test_server_that_is_no_standby_is_not_read(replica: Pair) -> None:
    replica.promote()
    with replicas.offering(replicas.START):
        assert replicas.choose_server() == "default"


def test_malformed_position_is_read_at_the_primary(replica: Pair, operator: APIClient, root: User) -> None:
    console = visitor(root)
    for position in ("", "0", "1/", "x/1", "0/0 ", "123456789/0", "unknown"):
        console.cookies["wallet_position"] = position
        with statements(REPLICA) as at_replica:
            assert operator.get(CREDITS, {"search": "x"}, HTTP_X_WALLET_POSITION=position).status_code == 200
            assert console.get(LIST).status_code == 200
        assert (position, at_replica) == (position, [])


def test_requests_that_write_and_callers_without_the_header_get_no_position_for_nothing(
    replica: Pair, operator: APIClient, issue: Issue
) -> None:
    with statements("default") as sent:
        claimed = operator.post(f"{CREDITS}{issue().pk}/claim/")
    assert claimed.status_code == 201
    assert "X-Wallet-Position" not in claimed.headers
    assert not [sql for sql in sent if "lsn" in sql and "accounts_tokenfamily" not in sql and "FOR NO KEY UPDATE" not in sql]


def test_nothing_of_it_is_installed_without_a_replica(settings: Settings) -> None:
    assert not settings.DATABASE_ROUTERS
    assert not [name for name in settings.MIDDLEWARE if "replica" in name]
    assert list(settings.DATABASES) == ["default"]
    assert "wallet_position" not in Client().post("/sign-in/", {}).cookies
