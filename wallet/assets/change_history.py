"""How PostgreSQL keeps the history of pools and credits: append-only, with who did it beside each change."""

from typing import Any, ClassVar

import pghistory.models
import pghistory.trigger
import pgtrigger
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from wallet.assets import triggers


class ChangeContext(pghistory.models.Context):  # type: ignore[misc]
    """Who made a change, through which door: pghistory's own table, where our rules are kept."""

    class Meta:
        proxy = True
        triggers: ClassVar = triggers.CONTEXT_RULES


def history_meta(one: Any, many: Any, index: str) -> dict[str, Any]:
    """Return the Meta of a table of history: its names, and the index that answers from when to when."""
    return {
        "verbose_name": one,
        "verbose_name_plural": many,
        # pghistory's own trigger refuses UPDATE and DELETE of history; this one refuses to empty it.
        "triggers": [triggers.no_truncate("history_append_only")],
        "indexes": [models.Index(fields=("pgh_created_at",), name=index)],
    }


def unindexed_foreign_key(to: str) -> Any:
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


# What may change of a credit, as it was before; text, so that no amount passes through a float. An expiry changes nothing but
# the status, which PostgreSQL sees to, and a claim is not kept here.
BEFORE = (
    "CASE WHEN NEW.status = 'AVAILABLE' THEN jsonb_build_object('title', OLD.title, 'total_value', OLD.total_value::text,"
    " 'currency', OLD.currency, 'pool_id', OLD.pool_id, 'expires_at', OLD.expires_at) END"
)
COLUMNS, END = '") VALUES (', "); RETURN NULL;"  # in the statement that pghistory writes


class EventWithBefore(pghistory.trigger.Event):  # type: ignore[misc]
    """Writes beside the row as it became, in `before`, what it was."""

    def get_func(self, model: type[models.Model]) -> pgtrigger.Func:
        """Return pghistory's own statement with one column more; raise ImproperlyConfigured when it is not as we know it."""
        made: str = super().get_func(model).func
        if (made.count(COLUMNS), made.count(END)) != (1, 1):
            raise ImproperlyConfigured(f"pghistory writes events otherwise than this release knows: {made}")
        return pgtrigger.Func(made.replace(COLUMNS, '", "before") VALUES (').replace(END, f", {BEFORE}{END}"))  # type: ignore[no-untyped-call]


class UpdateWithBefore(pghistory.UpdateEvent):  # type: ignore[misc]
    """An update that is kept with what the row was."""

    def add_event_trigger(self, event_model: type[models.Model]) -> None:
        """Register the trigger that writes it."""
        how = {"label": self.label, "row": self.row, "operation": self.operation, "condition": self.condition}
        trigger = EventWithBefore(event_model=event_model, name=self.trigger_name, level=self.level, **how)
        pgtrigger.register(trigger)(event_model.pgh_tracked_model)  # type: ignore[attr-defined]
