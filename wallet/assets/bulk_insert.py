"""Bulk insert of similar assets: a template is validated once, and rows need no model instance each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kernel.uuid7 import uuid7

if TYPE_CHECKING:
    from wallet.assets.models import CashbackAsset

# The inserted columns, beside the batch; the others have database defaults.
INSERTED_COLUMNS = (
    "id",
    "title",
    "total_value",
    "currency",
    "status",
    "generation",
    "pool_id",
    "expires_at",
    "recreated_from_id",
    "created_by_id",
    "claimable_from",
)
# Values in the order of INSERTED_COLUMNS.
Row = Sequence[Any]


class InsertableRow(Protocol):
    """An asset that can be inserted in bulk."""

    def row(self) -> Row:
        """Return the values of the inserted columns."""


class AssetTemplate:
    """The shared columns of similar assets, taken from a valid asset; as text, the fastest form for COPY."""

    def __init__(self, asset: "CashbackAsset") -> None:
        self.asset = asset
        values = [getattr(asset, name) for name in INSERTED_COLUMNS[2:]]
        self.shared_values = [None if value is None else str(value) for value in values]


class TemplatedAsset(NamedTuple):
    """A new asset: the columns of its template with its own id and title."""

    template: AssetTemplate
    title: str

    def row(self) -> Row:
        """Return the values of the inserted columns, with a new id."""
        return [uuid7().hex, self.title, *self.template.shared_values]
