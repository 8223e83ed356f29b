"""A clock that can be moved forward, for a sandbox database of local mode: to see what ends, lapses and is noticed.

No rule, no statement and no row of the product is changed. PostgreSQL finds `now()`, `statement_timestamp()` and
`clock_timestamp()` by the search path; in a sandbox, functions of those names that add the offset come before its own, for all
sessions of the database and for the functions of its triggers. Only the owner can do this, and outside local mode the checker
and the deploy check report such a database (I25, cashback.E002). Python's `django.utils.timezone.now` follows by a file.

The clock only goes forward: what was recorded would otherwise be in the future.
"""

from datetime import timedelta

from django.db import connection, connections, transaction
from psycopg import sql

from dev.following_clock import follow_test_clock, write_offset
from kernel.refusals import Refusal
from wallet.verification.enforcement import SANDBOX_PATH, TEST_CLOCK, clock_ahead

MAX_AHEAD = timedelta(days=3_650)
# The functions of PostgreSQL's clock, with their volatility.
CLOCKS = {"now": "STABLE", "transaction_timestamp": "STABLE", "statement_timestamp": "STABLE", "clock_timestamp": "VOLATILE"}
# New tables are made in the first schema of the path.
DATABASE_PATH = f"public, {TEST_CLOCK}, pg_catalog"
TRIGGER_FUNCTIONS = """
    SELECT DISTINCT tgfoid::regprocedure::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace AND tgname LIKE 'pgtrigger\\_%'
"""
DEFAULTS = """
    SELECT adrelid::regclass::text, attname, substring(pg_get_expr(adbin, adrelid) FROM '([a-z_]+)\\(\\)$') FROM pg_attrdef
    JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum JOIN pg_class ON pg_class.oid = adrelid
    WHERE relnamespace = 'public'::regnamespace
        AND pg_get_expr(adbin, adrelid) ~ '^(pg_catalog\\.)?(now|statement_timestamp|transaction_timestamp)\\(\\)$'
"""
OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class ClockNotMoved(Refusal):
    """The clock cannot be moved so."""

    code = "clock_not_moved"
    detail = "The test clock only moves forward, by 10 years at most in all."


def parse_interval(text: str) -> timedelta:
    """Return a duration such as "8 days", as PostgreSQL reads it. Raises its DataError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM %s::interval)::bigint", [text])
        return timedelta(seconds=int(cursor.fetchone()[0]))


def move_forward(by: timedelta) -> timedelta:
    """Move the clock of this database, and return how far it is ahead. All other sessions end, so that none keeps the old time.

    Raises ClockNotMoved.
    """
    ahead = timedelta(seconds=clock_ahead(connection)) + by
    if by < timedelta(seconds=1) or ahead > MAX_AHEAD:
        raise ClockNotMoved
    apply_offset(ahead)
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
    connections.close_all()
    follow_test_clock()
    return ahead


def apply_again() -> None:
    """Apply the offset of a sandbox again, after migrations and grants have pinned the search path of new triggers."""
    if ahead := clock_ahead(connection):
        apply_offset(timedelta(seconds=ahead))


def apply_offset(ahead: timedelta) -> None:
    """Make this database a sandbox whose clock is so far ahead."""
    seconds = int(ahead.total_seconds())
    name = sql.Identifier(connection.settings_dict["NAME"])
    statements = [
        sql.SQL(f"CREATE SCHEMA IF NOT EXISTS {TEST_CLOCK}"),
        sql.SQL(f"COMMENT ON SCHEMA {TEST_CLOCK} IS {{}}").format(sql.Literal(str(seconds))),
        sql.SQL(f"GRANT USAGE ON SCHEMA {TEST_CLOCK} TO PUBLIC"),
        *(clock_function(clock, volatility, seconds) for clock, volatility in CLOCKS.items()),
        sql.SQL(f"ALTER DATABASE {{}} SET search_path = {DATABASE_PATH}").format(name),
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        cursor.execute(TRIGGER_FUNCTIONS)
        for (function,) in cursor.fetchall():
            cursor.execute(f"ALTER FUNCTION {function} SET {SANDBOX_PATH.replace('=', ' = ')}")
        cursor.execute(DEFAULTS)
        for table, column, clock in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" SET DEFAULT {TEST_CLOCK}.{clock}()')
    write_offset(seconds)


def clock_function(clock: str, volatility: str, seconds: int) -> sql.Composed:
    """Return the SQL of a function that is PostgreSQL's own with the offset added."""
    text = f"CREATE OR REPLACE FUNCTION {TEST_CLOCK}.{clock}() RETURNS timestamptz LANGUAGE sql {volatility} PARALLEL SAFE"
    body = f" RETURN pg_catalog.{clock}() + {{}} * interval '1 second'"
    return sql.SQL(text + body).format(sql.Literal(seconds))
