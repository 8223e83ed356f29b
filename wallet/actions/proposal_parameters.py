"""What a proposal's action is called with: typed, stored as JSON, and read again without guessing."""

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Any, Self, get_args
from uuid import UUID

from kernel.versions import as_text

AS_THEY_ARE = (int, bool, dict, list, str)


@dataclass(frozen=True)
class Parameters:
    """The parameters of one kind of proposal. Each field is text, a number, an id, an amount, a time, or JSON."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields in JSON types, amounts and times as text without a loss."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if isinstance(value, AS_THEY_ARE) else as_text(value) for name, value in values.items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the parameters as they were. Raises ValueError or TypeError for what as_json did not write."""
        if set(stored) != {each.name for each in fields(cls)}:
            raise ValueError(f"{cls.__name__} has other fields than {sorted(stored)}")
        return cls(**{each.name: read_value(each.type, stored[each.name]) for each in fields(cls)})


def read_value(annotation: Any, stored: Any) -> Any:
    """Return a stored value as the type of its field. Raises ValueError or TypeError."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    if stored is None and type(None) in kinds:
        return None
    kind = getattr(kinds[0], "__origin__", kinds[0])
    if kind in AS_THEY_ARE:
        if type(stored) is not kind:
            raise TypeError(f"{stored!r} is not {kind.__name__}")
        return stored
    if kind in (date, datetime):
        return kind.fromisoformat(stored)
    if kind in (UUID, Decimal):
        return kind(stored)
    raise TypeError(f"parameters of the type {kind} are not stored")


# The sum of what a proposal issues in each pool, by its id: PostgreSQL compares it with what is issued.
Totals = dict[str, str]


def totals_of(sums: dict[Any, Decimal]) -> Totals:
    """Return sums per pool in JSON types."""
    return {str(pool): str(total) for pool, total in sums.items()}


@dataclass(frozen=True)
class GrantParameters(Parameters):
    """A grant."""

    user: UUID
    reference: str
    reason: str


@dataclass(frozen=True)
class ClawbackParameters(Parameters):
    """A clawback of exactly this amount. Of the note its digest is kept."""

    claim: UUID
    amount: Decimal
    reason: str
    note_digest: str | None


@dataclass(frozen=True)
class ExtendParameters(Parameters):
    """An extension."""

    claim: UUID
    until: datetime
    reason: str


@dataclass(frozen=True)
class IssueParameters(Parameters):
    """Equal credits, with the end that was resolved when they were proposed. Without a first day they start when approved."""

    count: int
    title: str
    total_value: Decimal
    expires_at: datetime | None
    per_day: int | None
    starts_on: date | None
    totals: Totals

    def credit_fields(self) -> dict[str, Any]:
        """Return what each credit is, and on which days they start."""
        names = ("title", "total_value", "expires_at", "per_day", "starts_on")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RecreateParameters(Parameters):
    """One credit from an expired one."""

    parent: UUID
    title: str
    total_value: Decimal
    expires_at: datetime | None
    again: bool
    totals: Totals


@dataclass(frozen=True)
class ImportParameters(Parameters):
    """A file, with the digests of its bytes and of its credits."""

    file_name: str
    count: int
    digest: str
    credits_digest: str
    default_pool: UUID | None
    new_pools: list[dict[str, Any]]
    totals: Totals = field(default_factory=dict)


@dataclass(frozen=True)
class ThresholdParameters(Parameters):
    """A pool's new approval threshold; None removes it."""

    threshold: Decimal | None
