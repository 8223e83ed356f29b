"""What the tables of history have in common. pghistory makes them, and their triggers fill them."""

from typing import Any

from django.db import models

from wallet.assets import rules


def kept(one: Any, many: Any, index: str) -> dict[str, Any]:
    """Return the Meta of a table of history: its names, and the index that answers from when to when."""
    return {
        "verbose_name": one,
        "verbose_name_plural": many,
        # pghistory's own trigger refuses UPDATE and DELETE of history; this one refuses to empty it.
        "triggers": [rules.no_truncate("history_append_only")],
        "indexes": [models.Index(fields=("pgh_created_at",), name=index)],
    }


def not_looked_up(to: str) -> Any:
    """Return a reference that history keeps and nobody asks for: an index on it would cost each row of a sweep a write."""
    return models.ForeignKey(
        to,
        models.DO_NOTHING,
        null=True,
        blank=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        related_name="+",
        related_query_name="+",
    )
