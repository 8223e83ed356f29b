"""Invariant I25: PostgreSQL enforces every rule whatever a session sets. Used by the checker and by a deploy check."""

import pgtrigger
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

# Session settings that trigger functions may read: the channel, the batch, the invitation of a registration, and the actor in
# pghistory's context.
ALLOWED_SETTINGS = (
    *("cashback.batch", "cashback.channel", "cashback.invitation"),
    *("pghistory.context_id", "pghistory.context_metadata"),
)
SEARCH_PATH = "search_path=pg_catalog, public, pg_temp"
# In a sandbox of local mode the functions of a test clock come first (dev.test_clock). Anywhere else that is a violation.
TEST_CLOCK = "test_clock"
SANDBOX_PATH = f"search_path={TEST_CLOCK}, pg_catalog, public, pg_temp"
CLOCK_AHEAD = "SELECT obj_description(oid) FROM pg_namespace WHERE nspname = %s"

WEAKENED = """
    WITH trigger AS (
        SELECT tgname AS name, tgrelid::regclass::text AS place, tgenabled AS enabled, tgfoid AS function
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace AND tgname LIKE 'pgtrigger\\_%%'
    ), called AS (
        -- The functions of the triggers and the functions that these call.
        SELECT DISTINCT callee.oid, callee.proname AS name, callee.prosrc AS source, callee.proconfig AS settings
        FROM trigger JOIN pg_proc AS caller ON caller.oid = trigger.function JOIN pg_proc AS callee
            ON callee.oid = caller.oid OR callee.pronamespace = 'public'::regnamespace
                AND position(callee.proname IN caller.prosrc) > 0
    )
    SELECT format('trigger %%s is not there', expected) FROM unnest(%(expected)s::text[]) AS expected
    WHERE expected NOT IN (SELECT name FROM trigger)
    UNION ALL
    SELECT format('trigger %%s of %%s does not always fire', name, place) FROM trigger WHERE enabled <> 'A'
    UNION ALL
    SELECT format('function %%s believes a setting that any session may change', name) FROM called
    WHERE regexp_replace(source, %(harmless)s, '', 'gi') ~* 'current_setting|pg_settings'
    UNION ALL
    SELECT format('function %%s looks names up as the session says (its search_path is not pinned)', name) FROM called
    WHERE NOT %(search_paths)s::text[] && coalesce(settings, '{}')
    UNION ALL
    SELECT format('a foreign key of %%s is not checked', tgrelid::regclass) FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    WHERE tgisinternal AND tgenabled = 'D' AND relnamespace = 'public'::regnamespace
    ORDER BY 1
"""


def weakened_rules(connection: BaseDatabaseWrapper) -> list[str]:
    """Return a sentence for each rule that PostgreSQL does not enforce against all sessions."""
    names = "|".join(name.replace(".", r"\.") for name in ALLOWED_SETTINGS)
    expected = sorted(trigger.get_pgid(model) for model, trigger in pgtrigger.registered())
    paths = [SEARCH_PATH, SANDBOX_PATH] if settings.LOCAL else [SEARCH_PATH]
    with connection.cursor() as cursor:
        harmless = rf"current_setting\s*\(\s*'({names})'"
        cursor.execute(WEAKENED, {"expected": expected, "harmless": harmless, "search_paths": paths})
        return [sentence for (sentence,) in cursor.fetchall()]


def clock_ahead(connection: BaseDatabaseWrapper) -> int:
    """Return by how many seconds the test clock of a sandbox database is ahead; 0 in every other database."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK_AHEAD, [TEST_CLOCK])
        row = cursor.fetchone()
    return int(row[0]) if row and row[0] else 0
