"""System checks of a deployment, with ids and hints."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections

from cashback.database.roles import ROLE_TIMEOUTS
from cashback.env import LOCAL
from wallet.verification.enforcement import weakened_rules


@register()
def database_is_postgresql(**_: Any) -> list[CheckMessage]:
    """E001: the rules are constraints and triggers of PostgreSQL, so no other engine works."""
    if settings.DATABASES["default"]["ENGINE"] == "cashback.database":
        return []
    return [Error("The database must be PostgreSQL 15 or newer.", hint="Set DATABASE_URL=postgresql://…", id="cashback.E001")]


@register()
def limits_are_shared(**_: Any) -> list[CheckMessage]:
    """W001: without Redis each process counts on its own."""
    if settings.REDIS or settings.LOCAL:
        return []
    hint = "Set REDIS_URL so that all processes count together. Claims stay correct either way."
    return [CheckWarning("Rate limits are counted per process.", hint=hint, id="cashback.W001")]


PUBLIC_PRIVILEGES = """
    SELECT privilege_type FROM pg_database CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl
    WHERE datname = current_database() AND acl.grantee = 0 ORDER BY 1
"""


@register()
def webhooks_stay_public(**_: Any) -> list[CheckMessage]:
    """E003: outside local mode services must not make the server send requests inside its own network."""
    if LOCAL or not settings.WEBHOOK_PRIVATE_ADDRESSES:
        return []
    hint = "Leave WEBHOOK_PRIVATE_ADDRESSES unset in a deployment."
    return [Error("Webhooks may be sent to private addresses.", hint=hint, id="cashback.E003")]


@register(Tags.database, deploy=True)
def public_has_no_privileges(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W002: a role that can connect can hold advisory locks and create temporary tables, so PUBLIC must have no privileges."""
    warnings: list[CheckMessage] = []
    for alias in databases or ():
        with connections[alias].cursor() as cursor:
            cursor.execute(PUBLIC_PRIVILEGES)
            privileges = ", ".join(privilege for (privilege,) in cursor.fetchall())
        if privileges:
            hint = "Run `manage.py grant_app_role` as the owner of the database."
            warnings.append(
                CheckWarning(f"Every role of the server has {privileges} on the database.", hint=hint, id="cashback.W002")
            )
    return warnings


# Only a role of pg_monitor sees the state of each standby; others see how many there are.
REPLICATION = """
    SELECT count(pid), count(pid) FILTER (WHERE sync_state IN ('sync', 'quorum')), count(sync_state),
        current_setting('synchronous_standby_names'), current_setting('synchronous_commit')
    FROM pg_stat_replication WHERE NOT pg_is_in_recovery() AND state IS DISTINCT FROM 'backup'
"""


@register(Tags.database, deploy=True)
def replication_is_synchronous(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E010: with asynchronous standbys a failover loses acknowledged claims and payments, unseen by the database."""
    if settings.ACCEPT_LOST_COMMITS:
        return []
    hint = (
        "Set synchronous_standby_names (Patroni: synchronous_mode), see deploy/README.md; or ACCEPT_LOST_COMMITS=on, if losing"
        " the last commits in a failover is acceptable."
    )
    return [
        Error(f"Replication is asynchronous: {reason}.", hint=hint, id="cashback.E010")
        for alias in databases or ()
        for reason in asynchronous_reasons(alias)
    ]


def asynchronous_reasons(alias: str) -> list[str]:
    """Return why a commit may be acknowledged before a standby has it; nothing if there is no standby."""
    with connections[alias].cursor() as cursor:
        cursor.execute(REPLICATION)
        standbys, synchronous, visible, names, commit = cursor.fetchone()
    if not standbys:
        return []
    if not names:
        return [f"synchronous_standby_names is empty and {standbys} standby{' is' if standbys == 1 else 's are'} connected"]
    if visible and not synchronous:
        return [f'synchronous_standby_names is "{names}" and none of {standbys} connected standbys is synchronous']
    return [f"synchronous_commit is {commit}"] if commit in ("off", "local") else []


@register(Tags.database, deploy=True)
def rules_are_enforced(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E002: no setting weakens a rule. Part of `check --deploy --database default`, not of migrate, which repairs it."""
    hint = "Run `manage.py migrate` and `manage.py grant_app_role` as the owner of the tables."
    return [
        Error(f"PostgreSQL does not enforce a rule: {sentence}.", hint=hint, id="cashback.E002")
        for alias in databases or ()
        for sentence in weakened_rules(connections[alias])
    ]


UNLIMITED = "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY 1"


@register(Tags.database, deploy=True)
def pooled_sessions_are_limited(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E004: behind a pooler a session has the time limits of its role, as the application cannot send them."""
    errors: list[CheckMessage] = []
    for alias in databases or ():
        if not connections[alias].settings_dict.get("POOLER"):
            continue
        with connections[alias].cursor() as cursor:
            cursor.execute(UNLIMITED, [list(ROLE_TIMEOUTS)])
            unlimited = ", ".join(name for (name,) in cursor.fetchall())
        if unlimited:
            hint = "Run `manage.py grant_app_role` directly at the server, then have the pooler reconnect (RECONNECT)."
            errors.append(Error(f"Sessions of the pooler have no {unlimited}.", hint=hint, id="cashback.E004"))
    return errors
