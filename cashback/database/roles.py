"""What the role that the application connects with may do, table by table: never change or empty what is append-only.

First the triggers are made what they must be, whatever a migration or a restore left (`harden_triggers`). Of an entry the role
may write all but the transaction's id, by which entries are sealed: that is PostgreSQL's to say. It makes no tables, not even
temporary ones, and runs no function that has its owner's powers but through the table it belongs to. Nobody else connects.

The owner of the tables runs migrations and these grants; the application is neither the owner nor a superuser.
"""

from django.db import connection
from psycopg import sql

from wallet.ledger.querysets import COLUMNS

APP_ROLE = "cashback_app"

# Append-only: what was sealed.
WRITTEN_ONCE = ("ledger_seal",)
BY_COLUMN = {"ledger_entry": f"SELECT, INSERT ({', '.join(COLUMNS)})"}
# What was issued and what operators changed is written by the owner's triggers, and so are the sums.
TRAIL = ("assets_cashbackassetevent", "assets_creditpoolevent", "assets_issuance", "pghistory_context")
READ = (*TRAIL, "assets_supplydelta", "django_migrations", "ledger_sealedbalance")
# How long the role waits in PostgreSQL, unless its connection says otherwise: for a lock, for a statement, for its client.
LOCK_TIMEOUT = {"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "5s"}


def table_privileges(table: str) -> str:
    """Return what the application may do with a table."""
    if table in READ:
        return "SELECT"
    if table in WRITTEN_ONCE:
        return "SELECT, INSERT"
    return BY_COLUMN.get(table, "SELECT, INSERT, UPDATE, DELETE")


def owners_functions() -> list[str]:
    """Return the functions that run with their owner's powers, each with its arguments' types."""
    functions = (
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(functions)
        return [name for (name,) in cursor.fetchall()]


def current_database() -> str:
    """Return the name of the database, which a pooler in front of it may call otherwise."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return str(cursor.fetchone()[0])


def grant_statements(role: str) -> list[sql.Composable]:
    """Return the SQL that gives `role` exactly its privileges on the tables that are there, and takes all others."""
    name = sql.Identifier(role)
    grants = [
        sql.SQL("SELECT public.harden_triggers()"),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}"),
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}"),
        sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC, {}"),
        sql.SQL("GRANT CONNECT ON DATABASE {database} TO {}"),
        *(sql.SQL(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC, {{}}") for function in owners_functions()),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}"),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}"),
    ]
    tables = connection.introspection.table_names()
    each = [(sql.SQL(f"GRANT {table_privileges(table)} ON {{}} TO {{}}"), sql.Identifier(table)) for table in tables]
    limits = [sql.SQL(f"ALTER ROLE {{}} SET {setting} = '{limit}'") for setting, limit in LOCK_TIMEOUT.items()]
    here = sql.Identifier(current_database())
    return [
        *(grant.format(name, database=here) for grant in (*grants, *limits)),
        *(grant.format(table, name) for grant, table in each),
    ]


def role_exists(role: str) -> bool:
    """Tell whether the server knows the role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        return cursor.fetchone() is not None


def create_role_statement(role: str) -> sql.Composable:
    """Return the SQL that creates the role without any power."""
    powerless = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return sql.SQL(f"CREATE ROLE {{}} {powerless}").format(sql.Identifier(role))


def create_role(role: str) -> bool:
    """Create the login role unless it exists; return whether it was created. It gets no password: set one, or use peer."""
    with connection.cursor() as cursor:
        if role_exists(role):
            return False
        # Roles belong to the whole server: somebody else may make it at the same moment, for another database.
        cursor.execute(
            sql.SQL("DO $$ BEGIN {}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$").format(
                create_role_statement(role)
            )
        )
    return True
