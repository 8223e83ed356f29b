"""Databases that exist for one proof."""

from typing import Any

import environ
import pytest
from django.db import connection

from dev.race import scratch_database
from tests.proofs.conftest import scratch_databases

pytestmark = pytest.mark.xdist_group("races")
LOCAL = {
    "USER": "cashback",
    "PASSWORD": "",
    "HOST": "/Var/run x",
    "PORT": 5432,
    "NAME": "prove_1",
    "OPTIONS": {"options": "-c x=1"},
}
REMOTE = {
    "USER": "app user",
    "PASSWORD": "p@ss/w:rd%",
    "HOST": "db.example.com",
    "PORT": "",
    "NAME": "prove_1",
    "OPTIONS": {"sslmode": "require"},
}


def test_a_scratch_database_is_there_and_is_gone_afterwards(transactional_db: None) -> None:
    with scratch_database.scratch_database() as name:
        assert scratch_databases() == [name]

    assert scratch_databases() == []


def test_it_is_dropped_when_the_proof_fails_and_somebody_is_still_connected(transactional_db: None) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_database.scratch_database() as name:
        other = connection.copy()
        other.settings_dict = connection.settings_dict | {"NAME": name}
        other.connect()
        raise KeyboardInterrupt

    assert scratch_databases() == []
    other.close()


def test_a_role_that_may_not_create_databases_is_told_what_to_do(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE poor LOGIN")
    old = connection.settings_dict
    connection.settings_dict = old | {"USER": "poor"}
    try:
        with pytest.raises(scratch_database.NoScratchDatabase, match="CREATEDB"), scratch_database.scratch_database():
            pass
    finally:
        connection.settings_dict = old
        with connection.cursor() as cursor:
            cursor.execute("DROP ROLE poor")


def test_a_crowded_server_is_no_place_for_a_race(db: None) -> None:
    with pytest.raises(scratch_database.NoConnectionsLeft):
        scratch_database.connections_left(least=100_000)


@pytest.mark.parametrize("settings", [LOCAL, REMOTE])
def test_the_url_says_what_the_settings_said(settings: dict[str, Any]) -> None:
    read = environ.Env.db_url_config(scratch_database.database_url(settings))
    host = read.get("OPTIONS", {}).get("host", read["HOST"])

    assert (read["USER"], read["PASSWORD"], host, read["NAME"]) == (
        settings["USER"],
        settings["PASSWORD"],
        settings["HOST"],
        "prove_1",
    )
    assert read["PORT"] == settings["PORT"]
    assert read.get("OPTIONS", {}).get("sslmode") == settings["OPTIONS"].get("sslmode")
