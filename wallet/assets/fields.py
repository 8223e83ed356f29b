"""The column by which feeds read the tables of credits in the order of transactions."""

from typing import ClassVar

from django.db.models import Func

from kernel import model_fields


class TransactionIdField(model_fields.TransactionIdField):
    """The id of the transaction that wrote a row; 1 for rows from before this column."""

    frozen_path: ClassVar[str] = "wallet.assets.migrations._frozen.TransactionIdField"


def transaction_id() -> TransactionIdField:
    """Return the column, which PostgreSQL fills."""
    return TransactionIdField(db_default=Func(function="pg_current_xact_id"), editable=False)
