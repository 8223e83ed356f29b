"""The change history of pools and credits: append-only, written by triggers, each change with its context."""

from typing import Any, ClassVar

import pghistory.models
import pghistory.trigger
import pgtrigger
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from accounts.models import User
from wallet.assets import triggers


class ChangeContext(pghistory.models.Context):  # type: ignore[misc]
    """The context of a change (see change_context). A proxy of pghistory's model that adds our rules to its table."""

    class Meta:
        proxy = True
        triggers: ClassVar = triggers.CONTEXT_RULES


class ClosedUser(User):
    """A user who closes their account. A proxy of the user that adds the rule for the change history to its table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [triggers.history_pseudonymised]


def history_meta(one: Any, many: Any, index: str, *indexes: models.Index) -> dict[str, Any]:
    """Return the Meta of an event model.

    Arguments:
        one, many: its verbose names.
        index: the name of the index by time.
        indexes: further indexes.
    """
    return {
        "verbose_name": one,
        "verbose_name_plural": many,
        # pghistory's own trigger refuses UPDATE and DELETE; this one refuses TRUNCATE.
        "triggers": [triggers.no_truncate("history_append_only")],
        "indexes": [models.Index(fields=("pgh_created_at",), name=index), *indexes],
    }


def unindexed_foreign_key(to: str) -> Any:
    """Return a foreign key without an index: no query filters by it, and each row of a sweep would have to write the index."""
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


# The values before an update, of the fields that may change. Amounts are text, so that none passes through a float. An expiry
# changes only the status, which a trigger enforces, and the change history records no claims.
BEFORE = (
    "CASE WHEN NEW.status = 'AVAILABLE' THEN jsonb_build_object('title', OLD.title, 'total_value', OLD.total_value::text,"
    " 'currency', OLD.currency, 'pool_id', OLD.pool_id, 'expires_at', OLD.expires_at) END"
)
COLUMNS, END = '") VALUES (', "); RETURN NULL;"  # parts of the statement that pghistory generates


class EventWithBefore(pghistory.trigger.Event):  # type: ignore[misc]
    """An event trigger that also records the values before the change, in the column `before`."""

    def get_func(self, model: type[models.Model]) -> pgtrigger.Func:
        """Return pghistory's statement with one more column. Raises ImproperlyConfigured if its form is unknown."""
        statement: str = super().get_func(model).func
        if (statement.count(COLUMNS), statement.count(END)) != (1, 1):
            raise ImproperlyConfigured(f"pghistory generates a statement of an unknown form: {statement}")
        return pgtrigger.Func(statement.replace(COLUMNS, '", "before") VALUES (').replace(END, f", {BEFORE}{END}"))  # type: ignore[no-untyped-call]


class UpdateWithBefore(pghistory.UpdateEvent):  # type: ignore[misc]
    """An update event with the values before the change."""

    def add_event_trigger(self, event_model: type[models.Model]) -> None:
        """Register the event trigger."""
        how = {"label": self.label, "row": self.row, "operation": self.operation, "condition": self.condition}
        trigger = EventWithBefore(event_model=event_model, name=self.trigger_name, level=self.level, **how)
        pgtrigger.register(trigger)(event_model.pgh_tracked_model)  # type: ignore[attr-defined]
