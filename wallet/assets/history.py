"""How PostgreSQL keeps the history of pools and credits: append-only, with who did it beside each change."""

from typing import Any, ClassVar

import pghistory.models
from django.db import models

from wallet.assets import rules


class ChangeContext(pghistory.models.Context):  # type: ignore[misc]
    """Who made a change, through which door: pghistory's own table, where our rules are kept."""

    class Meta:
        proxy = True
        triggers: ClassVar = rules.CONTEXT_RULES


def kept(one: Any, many: Any, index: str) -> dict[str, Any]:
    """Return the Meta of a table of history: its names, and the index that answers from when to when."""
    return {
        "verbose_name": one,
        "verbose_name_plural": many,
        # pghistory's own trigger refuses UPDATE and DELETE of history; this one refuses to empty it.
        "triggers": [rules.no_truncate("history_append_only")],
        "indexes": [models.Index(fields=("pgh_created_at",), name=index)],
    }
