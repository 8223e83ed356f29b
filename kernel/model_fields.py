"""Model fields whose migrations import none of our code: defaults and validators in Python are left out of them."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models

# The result of models.Field.deconstruct: name, path of the class, positional and keyword arguments.
Deconstructed = tuple[str, str, Sequence[Any], dict[str, Any]]


class GeneratedUUIDField(models.UUIDField[UUID | str, UUID]):
    """A UUID whose `default` may be one of our functions. A migration that inserts rows must set their ids."""

    def deconstruct(self) -> Deconstructed:
        """Return a plain UUIDField without a default."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.UUIDField", args, {key: kwargs[key] for key in kwargs if key != "default"}


class ValidatedEmailField(models.EmailField[str, str]):
    """An EmailField whose `validators` may be our functions, which take the place of Django's."""

    default_validators: ClassVar[list[Any]] = []  # type: ignore[misc]

    def deconstruct(self) -> Deconstructed:
        """Return a plain EmailField without validators."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.EmailField", args, {key: kwargs[key] for key in kwargs if key != "validators"}


class ValidatedCharField(models.CharField[str, str]):
    """A CharField whose `validators` may be our functions."""

    def deconstruct(self) -> Deconstructed:
        """Return a plain CharField without validators."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, {key: kwargs[key] for key in kwargs if key != "validators"}


INTERVAL_TEXT = re.compile(r"([0-9]{1,5} (minute|hour|day|week|mon|month|year)s?|[0-9]{1,5}:[0-5][0-9]:[0-5][0-9])( (?!$)|$)")


class IntervalField(models.Field[str | None, str | None]):
    """PostgreSQL's `interval` as its text, such as "48 hours" or "1 month": a timedelta knows no months."""

    def deconstruct(self) -> Deconstructed:
        """Return the frozen copy of this class beside the migrations."""
        name, _, args, kwargs = super().deconstruct()
        return name, "wallet.assets.migrations._frozen.IntervalField", args, kwargs

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "interval"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Return SQL that reads the interval as text."""
        return f"({sql})::text", params

    def to_python(self, value: Any) -> str | None:
        """Return the text; raise ValidationError unless it is made of numbers and units, e.g. "1 month 2 days"."""
        if value in (None, ""):
            return None
        if not isinstance(value, str) or INTERVAL_TEXT.sub("", value) != "":
            raise ValidationError('Write a duration such as "48 hours", "30 days" or "1 month".', code="interval")
        return value


class TransactionIdField(models.Field[int, int]):
    """The id of the transaction that wrote a row, PostgreSQL's `xid8`: 64 bits, never wraps.

    A subclass names in `frozen_path` its frozen copy beside the migrations of its app, so that they import no code of ours.
    """

    frozen_path: ClassVar[str]

    def deconstruct(self) -> Deconstructed:
        """Return the frozen copy of this class."""
        name, _, args, kwargs = super().deconstruct()
        return name, self.frozen_path, args, kwargs

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "xid8"

    def from_db_value(self, value: str | None, *_: Any) -> int | None:
        """Return the integer for the text that psycopg returns."""
        return None if value is None else int(value)

    def get_prep_value(self, value: int | None) -> str | None:
        """Return the text that PostgreSQL casts to xid8."""
        return None if value is None else str(value)
