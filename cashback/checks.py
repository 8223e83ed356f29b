"""What `manage.py check` says about this deployment, with ids and hints."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning


@register()
def database_is_postgresql(**_: Any) -> list[CheckMessage]:
    """Rules are kept by PostgreSQL's own constraints and triggers: no other engine will do."""
    if settings.DATABASES["default"]["ENGINE"] == "cashback.database":
        return []
    return [Error("The database must be PostgreSQL 15 or newer.", hint="Set DATABASE_URL=postgresql://…", id="cashback.E001")]


@register()
def limits_are_shared(**_: Any) -> list[CheckMessage]:
    """Without Redis each process counts for itself."""
    if settings.REDIS or settings.LOCAL:
        return []
    hint = "Set REDIS_URL so that all processes count together. Claims stay correct either way."
    return [CheckWarning("Rate limits are counted per process.", hint=hint, id="cashback.W001")]
