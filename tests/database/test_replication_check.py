"""The deploy check of replication: red while standbys stream asynchronously."""

import time
from collections.abc import Iterator

import pytest
from django.core.checks import CheckMessage
from django.db import connection
from pytest_django import Settings

from cashback.checks import replication_is_synchronous
from tests.database.conftest import Pair

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = "ALTER SYSTEM SET synchronous_standby_names = "


def messages() -> list[str]:
    found: list[CheckMessage] = replication_is_synchronous(["default"])
    return [message.msg for message in found]


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    time.sleep(0.2)  # until the sessions have read the changed file


@pytest.fixture
def streaming(pair: Pair) -> Iterator[Pair]:
    """A standby that streams, and no names of synchronous standbys in the end."""
    pair.catch_up()
    yield pair
    run("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


def test_a_server_without_a_standby_is_fine() -> None:
    assert messages() == []


def test_an_asynchronous_standby_is_an_error_unless_that_is_accepted(streaming: Pair, settings: Settings) -> None:
    assert messages() == ["Replication is asynchronous: synchronous_standby_names is empty and 1 standby is connected."]

    settings.ACCEPT_LOST_COMMITS = True
    assert messages() == []


def test_a_name_that_no_standby_has_is_an_error(streaming: Pair) -> None:
    run(f"{NAMES}'elsewhere'", "SELECT pg_reload_conf()")

    (said,) = messages()
    assert said.endswith('synchronous_standby_names is "elsewhere" and none of 1 connected standbys is synchronous.')
    run("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


def test_a_synchronous_standby_is_fine_unless_commits_do_not_wait(streaming: Pair) -> None:
    run(f"{NAMES}'*'", "SELECT pg_reload_conf()")
    time.sleep(1)

    assert messages() == []
    run("SET synchronous_commit = local")
    assert messages() == ["Replication is asynchronous: synchronous_commit is local."]
    connection.close()
