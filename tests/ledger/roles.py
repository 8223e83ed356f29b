"""Database roles that may run SQL: the application's role, the owner of its tables, a superuser."""

from typing import Any

from django.db import connection

from cashback.database.roles import APP_ROLE

OWNER = "owner_of_the_tables"
ROLES = [APP_ROLE, OWNER, "superuser"]

# An owner who is no superuser, for as long as this transaction lasts.
MAKE_OWNER = f"""
DO $$
DECLARE t record;
BEGIN
    CREATE ROLE {OWNER} NOSUPERUSER;
    GRANT CREATE ON SCHEMA public TO {OWNER};
    FOR t IN SELECT oid::regclass AS name FROM pg_class WHERE relkind IN ('r', 'p')
        AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {OWNER}', t.name);
    END LOOP;
END $$
"""
GIVE_BACK = f"REASSIGN OWNED BY {OWNER} TO CURRENT_USER; DROP OWNED BY {OWNER}; DROP ROLE {OWNER}"


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def become(role: str) -> None:
    """Take the role for the rest of the transaction; the test's own user is a superuser.

    The attack waits for autovacuum, which gives way to it, instead of ending in a lock timeout on a busy machine.
    """
    sql("SET LOCAL lock_timeout = '30s'")
    if role == OWNER:
        sql(MAKE_OWNER)
    if role != "superuser":
        sql(f"SET LOCAL ROLE {role}")


def trigger(rule: str) -> str:
    """Return the whole name of one of our triggers, which is its function's too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname ~ %s", [f"^pgtrigger_{rule}_[0-9a-f]{{5}}$"])
        ((name,),) = cursor.fetchall()
        return str(name)
