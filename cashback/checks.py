"""System checks of a deployment, with ids and hints."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections

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


@register(Tags.database, deploy=True)
def rules_are_enforced(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E002: no setting weakens a rule. Part of `check --deploy --database default`, not of migrate, which repairs it."""
    hint = "Run `manage.py migrate` and `manage.py grant_app_role` as the owner of the tables."
    return [
        Error(f"PostgreSQL does not enforce a rule: {sentence}.", hint=hint, id="cashback.E002")
        for alias in databases or ()
        for sentence in weakened_rules(connections[alias])
    ]
