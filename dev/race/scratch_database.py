"""A scratch database: created empty on the configured server, and always dropped."""

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
SPARE = 10  # connections reserved for others: this process, an operator, a backup


class NoScratchDatabase(Refusal):
    """The role may not create databases."""

    code = "no_scratch_database"
    detail = (
        "The database role may not create a scratch database here. Allow it (ALTER ROLE … CREATEDB), or set DATABASE_URL to"
        " use another server."
    )


class NoConnectionsLeft(Refusal):
    """The server has too few connections left for a race."""

    code = "no_connections_left"
    detail = (
        "PostgreSQL has too few connections left for a race. Raise max_connections, or try again when the server is less busy."
    )


@contextmanager
def scratch_database() -> Iterator[str]:
    """Create an empty database and yield its name; drop it at the end, even while clients are connected."""
    name = PREFIX + secrets.token_hex(6)
    create_database(name)
    try:
        yield name
    finally:
        run_statement(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def create_database(name: str) -> None:
    """Create the database; raise NoScratchDatabase when the role may not."""
    try:
        # From template0, which accepts no connections and has no local additions.
        run_statement(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
    except ProgrammingError as error:
        if sqlstate(error) == "42501":
            raise NoScratchDatabase from error
        raise


def run_statement(sql: str) -> None:
    """Run one statement outside any database, without a time limit."""
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET lock_timeout = 0")
        cursor.execute(sql)


def connections_left(least: int) -> int:
    """Return the number of connections a race may open; raise NoConnectionsLeft when it is less than `least`."""
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
    """Return the environment of a process with the database `name` and the web's settings."""
    own = {
        "DATABASE_URL": database_url(connection.settings_dict | {"NAME": name}),
        "DJANGO_SETTINGS_MODULE": "cashback.settings",
        "STATEMENT_TIMEOUT_MS": "5000",
        "RATE_CLAIM": "off",
        "RATE_SEARCH": "off",
        "RATE_EXPORT": "off",
        "RATE_SERVICE_PAYMENT": "off",
        # The web server of a race is used from this machine only, without a proxy.
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "off",
        "TRUSTED_PROXIES": "0",
        "LOG_LEVEL": "ERROR",
        "PYTHONUNBUFFERED": "1",
    }
    return dict(os.environ) | own


def database_url(settings: dict[str, Any]) -> str:
    """Return Django's database settings as a URL, without their `options`."""
    user, password, host, name = (quote(str(settings[part]), safe="") for part in ("USER", "PASSWORD", "HOST", "NAME"))
    rest = {option: value for option, value in settings["OPTIONS"].items() if option != "options"}
    if str(settings["HOST"]).startswith("/"):
        # The host of a URL is lower-cased, which would change a socket's folder.
        host, rest["host"] = "", settings["HOST"]
    credentials = f"{user}:{password}" if password else user
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    return f"postgresql://{credentials}@{host}{port}/{name}{'?' if rest else ''}{urlencode(rest)}"


def require_scratch_database() -> None:
    """Raise RuntimeError unless this process is connected to a scratch database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = cursor.fetchone()[0]
    if not name.startswith(PREFIX):
        raise RuntimeError(f"{name} is not a scratch database")
