"""Privileges of the application's database role, table by table: no UPDATE, DELETE or TRUNCATE on append-only tables.

The grants begin with `harden_triggers`, which repairs what a migration or a restore may have left. The role may insert every
column of an entry except the transaction id, by which entries are sealed: PostgreSQL sets it. It creates no tables, not even
temporary ones, and executes SECURITY DEFINER functions only through the triggers of their tables. No other role may connect.

The owner of the tables runs migrations and these grants; the application's role is neither the owner nor a superuser.
"""

from django.db import connection
from psycopg import sql

from cashback.database_env import ONE_CORE
from wallet.ledger import key_ring
from wallet.ledger.querysets import COLUMNS, MOVEMENT_COLUMNS

APP_ROLE = "cashback_app"

# Append-only tables.
APPEND_ONLY = (
    *("ledger_seal", "ledger_posting", "ledger_grant", "delivery_tick"),
    *("programme_reportedevent", "programme_referralcode"),
)
COLUMN_PRIVILEGES = {
    "ledger_entry": f"SELECT, INSERT ({', '.join(COLUMNS)})",
    "ledger_movement": f"SELECT, INSERT ({', '.join(MOVEMENT_COLUMNS)})",
    # What a notice says never changes, and it is never deleted: nobody can be told twice.
    "notices_notice": "SELECT, INSERT, UPDATE (state, skip_reason, attempts, next_attempt_at, handed_over_at, sent_at)",
    # Each update opens the lots of so many claims (lot_triggers.lots_backfilled).
    "ledger_lotbackfill": "SELECT, UPDATE (batch_size)",
    # A rule keeps what it grants for.
    "programme_grantrule": "SELECT, INSERT, UPDATE (name, per_person_cap, is_active)",
    # Dues and referrals are written by triggers of what happened; these columns say when a due is tried, and who decided.
    "programme_grantdue": "SELECT, UPDATE (attempts, refusal, next_try_at)",
    "programme_referral": "SELECT, UPDATE (is_approved, decided_by_id)",
    # What was proposed never changes; PostgreSQL dates its decision.
    "ledger_proposal": "SELECT, INSERT, UPDATE (decided_by_id, approved, decision_reason, result)",
}
# The change history and the log of issues are written by SECURITY DEFINER triggers, and so are the counters and balances.
CHANGE_HISTORY = ("assets_cashbackassetevent", "assets_creditpoolevent", "assets_batch", "assets_issuance", "pghistory_context")
COUNTERS = ("assets_batchsupply", "assets_supplydelta", "ledger_sealedbalance", "ledger_lastingchange")
# So are the states of the wallet as money: lots, payments and allocations.
MONEY_STATES = ("ledger_lot", "ledger_payment", "ledger_allocation")
READ_ONLY = (*CHANGE_HISTORY, *COUNTERS, *MONEY_STATES, "django_migrations")
VIEWS = ("ledger_doubleentry",)
# The scheduler empties the partition whose keys are old; rows are read and written through the partitioned table.
KEY_PARTITIONS = tuple(f"{key_ring.TABLE}_{number}" for number in range(key_ring.PARTITIONS))
# Time limits of the role's sessions. A connection may set others; one through a pooler has these (DATABASE_POOLER).
ROLE_TIMEOUTS = {"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "5s"}
# Django would set the time zone of each session, which a pooler shares.
ROLE_SETTINGS = ROLE_TIMEOUTS | {"TimeZone": "UTC"} | ONE_CORE


def table_privileges(table: str) -> str:
    """Return the application's privileges on a table, as GRANT lists them."""
    if table in READ_ONLY:
        return "SELECT"
    if table in APPEND_ONLY:
        return "SELECT, INSERT"
    return COLUMN_PRIVILEGES.get(table, "SELECT, INSERT, UPDATE, DELETE")


def security_definer_functions() -> list[str]:
    """Return the SECURITY DEFINER functions with the types of their arguments."""
    functions = (
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(functions)
        return [name for (name,) in cursor.fetchall()]


def current_database() -> str:
    """Return the server's name of the database, which may differ from the name that a pooler uses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return str(cursor.fetchone()[0])


def grant_statements(role: str) -> list[sql.Composable]:
    """Return the SQL that grants `role` exactly its privileges on the existing tables and revokes all others."""
    name = sql.Identifier(role)
    grants = [
        sql.SQL("SELECT public.harden_triggers()"),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}"),
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}"),
        sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC, {}"),
        sql.SQL("GRANT CONNECT ON DATABASE {database} TO {}"),
        *(sql.SQL(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC, {{}}") for function in security_definer_functions()),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}"),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}"),
    ]
    tables = connection.introspection.table_names()
    view_grants = [sql.SQL(f"GRANT SELECT ON {view} TO {{}}") for view in VIEWS]
    view_grants += [sql.SQL(f"GRANT TRUNCATE ON {partition} TO {{}}") for partition in KEY_PARTITIONS]
    table_grants = [(sql.SQL(f"GRANT {table_privileges(table)} ON {{}} TO {{}}"), sql.Identifier(table)) for table in tables]
    limits = [sql.SQL(f"ALTER ROLE {{}} SET {setting} = '{limit}'") for setting, limit in ROLE_SETTINGS.items()]
    database = sql.Identifier(current_database())
    return [
        *(grant.format(name, database=database) for grant in (*grants, *view_grants, *limits)),
        *(grant.format(table, name) for grant, table in table_grants),
    ]


def role_exists(role: str) -> bool:
    """Return whether the role exists on the server."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        return cursor.fetchone() is not None


def create_role_statement(role: str) -> sql.Composable:
    """Return the SQL that creates the login role without privileges."""
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return sql.SQL(f"CREATE ROLE {{}} {attributes}").format(sql.Identifier(role))


def create_role(role: str) -> bool:
    """Create the login role unless it exists; return whether it was created. It has no password: set one, or use peer."""
    with connection.cursor() as cursor:
        if role_exists(role):
            return False
        # Roles belong to the whole server: another session may create it meanwhile, for another database.
        cursor.execute(
            sql.SQL("DO $$ BEGIN {}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$").format(
                create_role_statement(role)
            )
        )
    return True
