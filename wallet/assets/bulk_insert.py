"""Credits that are alike: judged once, and made by the million without a row of Django's for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kernel.uuid7 import uuid7

if TYPE_CHECKING:
    from wallet.assets.models import CashbackAsset

# What is written of a new asset; the rest is PostgreSQL's default.
ISSUED = (
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
)
# An asset in the order of ISSUED.
Row = Sequence[Any]


class InsertableRow(Protocol):
    """What can be inserted."""

    def row(self) -> Row:
        """Return what is written of it."""


class AssetTemplate:
    """What alike credits have in common, taken from one that was found valid; as text, which COPY takes soonest."""

    def __init__(self, asset: "CashbackAsset") -> None:
        self.asset = asset
        values = [getattr(asset, name) for name in ISSUED[2:]]
        self.rest = [None if value is None else str(value) for value in values]


class TemplatedAsset(NamedTuple):
    """A new credit: its mould's in all but id and title."""

    mould: AssetTemplate
    title: str

    def row(self) -> Row:
        """Return what is written of it, under a new id."""
        return [uuid7().hex, self.title, *self.mould.rest]
