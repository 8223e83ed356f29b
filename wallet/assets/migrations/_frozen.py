"""What migrations of assets need. Never change it: a database made from them tomorrow equals one made long ago.

Django takes no module whose name begins with an underscore for a migration.
"""

from typing import Any

from django.db import models


class IntervalField(models.Field[str | None, str | None]):
    """PostgreSQL's `interval` as text: what migrations call the live field (kernel.model_fields.IntervalField)."""

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "interval"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Return SQL that reads the interval as text."""
        return f"({sql})::text", params


class TransactionIdField(models.Field[int, int]):
    """PostgreSQL's `xid8`: what migrations call the live field (assets.fields.TransactionIdField)."""

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "xid8"

    def get_prep_value(self, value: int | None) -> str | None:
        """Write a number in the text form that PostgreSQL casts to xid8."""
        return None if value is None else str(value)
