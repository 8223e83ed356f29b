"""Versions of rows: whether a row is still as it was read.

An action that takes a `Precondition` calls it with the locked row, so that of two concurrent changes only one can meet it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_noop as _

from kernel.refusals import PreconditionFailed
from kernel.timestamps import format_timestamp

# Called with the locked row; raises a refusal to prevent the change.
Precondition = Callable[[Any], None]


class ChangedMeanwhile(PreconditionFailed):
    code = "precondition_failed"
    meaning = _("The credit or pool was changed after the caller read it, so the request was not carried out.")
    detail = _("This was changed after you read it, so nothing was done. Read it again, then repeat your change.")


def accept_any(row: Model) -> None:
    """Accept any version of the row."""


def require_version(version: str, names: Iterable[str]) -> Precondition:
    """Return the precondition that the row still has this version; it raises ChangedMeanwhile."""

    def require(row: Model) -> None:
        if version_of(row, names) != version:
            raise ChangedMeanwhile

    return require


def version_of(row: Model, names: Iterable[str]) -> str:
    """Return a digest, 32 hex digits, of the row's columns `names`. Equal values give equal digests, however they were read."""
    return hashlib.sha256(json.dumps([str(row.pk), values_of(row, names)]).encode()).hexdigest()[:32]


def values_of(row: Model, names: Iterable[str]) -> dict[str, str | None]:
    """Return the row's columns as text, which the field's `to_python` reads again."""
    return {name: as_text(row._meta.get_field(name).value_from_object(row)) for name in names}  # type: ignore[union-attr]


def as_text(value: Any) -> str | None:
    """Return a column's value as text without a loss; None stays None."""
    if isinstance(value, datetime):
        return format_timestamp(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return None if value is None else str(value)
