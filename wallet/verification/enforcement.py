"""Invariant I25: PostgreSQL enforces every rule whatever a session sets. Used by the checker and by a deploy check."""

import pgtrigger
from django.db.backends.base.base import BaseDatabaseWrapper

# Session settings that trigger functions may read: the channel, the batch, the invitation of a registration, and the actor in
# pghistory's context.
ALLOWED_SETTINGS = (
    *("cashback.batch", "cashback.channel", "cashback.invitation"),
    *("pghistory.context_id", "pghistory.context_metadata"),
)
SEARCH_PATH = "search_path=pg_catalog, public, pg_temp"

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
    WHERE %(search_path)s <> ALL (coalesce(settings, '{}'))
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
    with connection.cursor() as cursor:
        harmless = rf"current_setting\s*\(\s*'({names})'"
        cursor.execute(WEAKENED, {"expected": expected, "harmless": harmless, "search_path": SEARCH_PATH})
        return [sentence for (sentence,) in cursor.fetchall()]
