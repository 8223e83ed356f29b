"""What the role that the application connects with may do, table by table: never change or empty what is append-only.

The owner of the tables runs migrations and these grants; the application is neither the owner nor a superuser.
"""

from django.db import connection
from psycopg import sql

APP_ROLE = "cashback_app"

# Append-only: what happened, what was sealed, what was issued, what operators changed.
WRITTEN_ONCE = (
    "assets_cashbackassetevent",
    "assets_creditpoolevent",
    "assets_issuance",
    "ledger_entry",
    "ledger_seal",
)
# pghistory writes the context of a change with INSERT … ON CONFLICT DO UPDATE.
NEVER_DELETED = ("pghistory_context",)
READ = ("django_migrations", "ledger_subtotal")
# How long the role waits in PostgreSQL, unless its connection says otherwise: for a lock, for a statement, for its client.
PATIENCE = {"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "5s"}


def privileges(table: str) -> str:
    """Return what the application may do with a table."""
    if table in READ:
        return "SELECT"
    if table in WRITTEN_ONCE:
        return "SELECT, INSERT"
    if table in NEVER_DELETED:
        return "SELECT, INSERT, UPDATE"
    return "SELECT, INSERT, UPDATE, DELETE"


def statements(role: str) -> list[sql.Composable]:
    """Return the SQL that gives `role` exactly its privileges on the tables that are there, and takes all others."""
    name = sql.Identifier(role)
    grants = [
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}"),
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}"),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}"),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}"),
    ]
    tables = connection.introspection.table_names()
    each = [(sql.SQL(f"GRANT {privileges(table)} ON {{}} TO {{}}"), sql.Identifier(table)) for table in tables]
    limits = [sql.SQL(f"ALTER ROLE {{}} SET {setting} = '{limit}'") for setting, limit in PATIENCE.items()]
    return [*(grant.format(name) for grant in (*grants, *limits)), *(grant.format(table, name) for grant, table in each)]


def exists(role: str) -> bool:
    """Tell whether the server knows the role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        return cursor.fetchone() is not None


def creation(role: str) -> sql.Composable:
    """Return the SQL that creates the role without any power."""
    powerless = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return sql.SQL(f"CREATE ROLE {{}} {powerless}").format(sql.Identifier(role))


def create(role: str) -> bool:
    """Create the login role unless it exists; return whether it was created. It gets no password: set one, or use peer."""
    with connection.cursor() as cursor:
        if exists(role):
            return False
        # Roles belong to the whole server: somebody else may make it at the same moment, for another database.
        cursor.execute(
            sql.SQL("DO $$ BEGIN {}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$").format(creation(role))
        )
    return True
