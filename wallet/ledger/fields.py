"""Model fields for PostgreSQL column types that Django lacks."""

from typing import ClassVar

from kernel import model_fields


class TransactionIdField(model_fields.TransactionIdField):
    """The id of the transaction that wrote a row of the ledger."""

    frozen_path: ClassVar[str] = "wallet.ledger.migrations._frozen.TransactionIdField"
