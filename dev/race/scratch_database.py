"""A database for one proof: made on the configured server, empty, and dropped whatever happens."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from django.db import ProgrammingError, connection

from kernel.refusals import Refusal
from kernel.transactions import sqlstate

PREFIX = "prove_"
SPARE = 10  # connections left to others: the run's own few, an operator, a backup


class NoScratchDatabase(Refusal):
    """The server lets this role make no database."""

    code = "no_scratch_database"
    detail = (
        "The database role may not create a scratch database here. Let it (ALTER ROLE … CREATEDB), or run the proof on"
        " another server by setting DATABASE_URL."
    )


class NoConnectionsLeft(Refusal):
    """The server has no room for a race."""

    code = "no_connections_left"
    detail = "PostgreSQL has no connections left for a race. Raise max_connections, or run the proof when less is going on."


@contextmanager
def scratch_database() -> Iterator[str]:
    """Create an empty database and yield its name; drop it at the end, with whoever is still connected to it."""
    name = PREFIX + secrets.token_hex(6)
    create_database(name)
    try:
        yield name
    finally:
        run_statement(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def create_database(name: str) -> None:
    """Create the database; raise NoScratchDatabase when the role may not."""
    try:
        # From template0: nobody can be connected to it, and nothing of a site's own is in it.
        run_statement(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
    except ProgrammingError as error:
        if sqlstate(error) == "42501":
            raise NoScratchDatabase from error
        raise


def run_statement(sql: str) -> None:
    """Run one statement beside all databases, however long it takes."""
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET lock_timeout = 0")
        cursor.execute(sql)


def connections_left(least: int) -> int:
    """Return how many connections a race may open now; raise NoConnectionsLeft when there is no room for `least`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name LIKE '%connections'")
        settings = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        used = cursor.fetchone()[0]
    reserved = int(settings["superuser_reserved_connections"]) + int(settings.get("reserved_connections", 0))
    left = int(settings["max_connections"]) - reserved - int(used) - SPARE
    if left < least:
        raise NoConnectionsLeft
    return left


def scratch_environment(name: str) -> dict[str, str]:
    """Return the environment of a process that has `name` for its database and otherwise lives as the web does."""
    own = {
        "DATABASE_URL": database_url(connection.settings_dict | {"NAME": name}),
        "DJANGO_SETTINGS_MODULE": "cashback.settings",
        "STATEMENT_TIMEOUT_MS": "5000",
        "RATE_CLAIM": "off",
        "RATE_SEARCH": "off",
        "RATE_EXPORT": "off",
        # The race's web server is met on this machine only, without a proxy before it.
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "off",
        "TRUSTED_PROXIES": "0",
        "LOG_LEVEL": "ERROR",
        "PYTHONUNBUFFERED": "1",
    }
    return dict(os.environ) | own


def database_url(settings: dict[str, Any]) -> str:
    """Return Django's description of a database as a URL; its `options` are the settings' own business."""
    user, password, host, name = (quote(str(settings[part]), safe="") for part in ("USER", "PASSWORD", "HOST", "NAME"))
    rest = {option: value for option, value in settings["OPTIONS"].items() if option != "options"}
    if str(settings["HOST"]).startswith("/"):
        # The folder of a socket would lose its capitals as the host of a URL.
        host, rest["host"] = "", settings["HOST"]
    whom = f"{user}:{password}" if password else user
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    return f"postgresql://{whom}@{host}{port}/{name}{'?' if rest else ''}{urlencode(rest)}"


def require_scratch_database() -> None:
    """Raise RuntimeError unless this process works on a scratch database: nothing of a race may reach another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = cursor.fetchone()[0]
    if not name.startswith(PREFIX):
        raise RuntimeError(f"{name} is not a scratch database")
