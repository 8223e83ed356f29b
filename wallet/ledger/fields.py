"""Model fields for PostgreSQL column types that Django lacks."""

from collections.abc import Sequence
from typing import Any

from django.db import models


class TransactionIdField(models.Field[int, int]):
    """The id of the transaction that wrote a row, PostgreSQL's `xid8`: 64 bits, never wraps."""

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        """Return the frozen copy of this class beside the migrations, so that migrations do not import this module."""
        name, _, args, kwargs = super().deconstruct()
        return name, "wallet.ledger.migrations._frozen.TransactionIdField", args, kwargs

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "xid8"

    def from_db_value(self, value: str | None, *_: Any) -> int | None:
        """Return the integer for the text that psycopg returns."""
        return None if value is None else int(value)

    def get_prep_value(self, value: int | None) -> str | None:
        """Return the text that PostgreSQL casts to xid8."""
        return None if value is None else str(value)
