"""How amounts and instants are written in requests: one way each, so that nothing is guessed or rounded."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError as FormError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kernel.timestamps import format_timestamp

AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# RFC 3339 §5.6; T and Z in capitals, which every writer uses.
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
# Beyond these years an instant is a mistake, and near the calendar's ends it cannot be moved between time zones.
YEARS = range(1970, 9999)

WRONG_AMOUNT = 'Write the amount as plain decimal digits in a string, e.g. "100.00".'
WRONG_NUMBER = f"A JSON number with a fraction or an exponent is not exact. {WRONG_AMOUNT}"
WRONG_INSTANT = "Write an instant with its offset, e.g. 2027-03-31T18:30:00Z (a + in an address is %2B)"
WRONG_DAY = f"{WRONG_INSTANT}, or a day, e.g. 2027-03-31."


def parse_amount(text: str) -> Decimal:
    """Return the number written as plain decimal digits; raise ValueError for anything else (1e3, NaN, ٣, " 1")."""
    if not AMOUNT.fullmatch(text):
        raise ValueError(WRONG_AMOUNT)
    return Decimal(text)


def parse_timestamp(text: str) -> datetime:
    """Return the instant, in UTC, written as in RFC 3339; raise ValueError for anything else."""
    if not INSTANT.fullmatch(text) or int(text[:4]) not in YEARS:
        raise ValueError(f"{WRONG_INSTANT}.")
    return datetime.fromisoformat(text).astimezone(UTC)


def parse_timestamp_or_date(text: str) -> datetime | date:
    """Return the instant, or the day, that is written; raise ValueError for anything else."""
    if not DAY.fullmatch(text):
        return parse_timestamp(text)
    if int(text[:4]) not in YEARS:
        raise ValueError(WRONG_DAY)
    return date.fromisoformat(text)


@extend_schema_field(
    {"oneOf": [{"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,3})?$"}, {"type": "integer"}], "examples": ["100.00"]}
)
class AmountField(serializers.Field[Decimal, str | int, str, Any]):
    """An exact amount in a request: a string of decimal digits, or an integer. A float is refused, never rounded."""

    def to_internal_value(self, data: Any) -> Decimal:
        """Return the amount; raise ValidationError."""
        if isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if not isinstance(data, str):
            raise serializers.ValidationError(WRONG_NUMBER if isinstance(data, float) else WRONG_AMOUNT, code="amount")
        try:
            return parse_amount(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="amount") from error

    def to_representation(self, value: Decimal) -> str:
        """Fill the form of the browsable page."""
        return str(value)


@extend_schema_field({"type": "string", "format": "date-time"})
class TimestampField(serializers.Field[datetime | date, str, str, Any]):
    """An instant in a request, with its offset from UTC."""

    read = staticmethod(parse_timestamp)
    wrong = f"{WRONG_INSTANT}."

    def to_internal_value(self, data: Any) -> datetime | date:
        """Return the instant; raise ValidationError."""
        try:
            return self.read(data)
        except (TypeError, ValueError) as error:
            raise serializers.ValidationError(self.wrong, code="instant") from error

    def to_representation(self, value: datetime | date) -> str:
        """Fill the form of the browsable page."""
        return format_timestamp(value) if isinstance(value, datetime) else value.isoformat()


@extend_schema_field(
    {
        "oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
        "examples": ["2027-03-31", "2027-03-31T18:30:00Z"],
        "description": "First instant it can no longer be claimed, or the last day, which ends where the pool is. null: never.",
    }
)
class ExpiryField(TimestampField):
    """An instant, or a day that ends where the pool is."""

    read = staticmethod(parse_timestamp_or_date)  # type: ignore[assignment]
    wrong = WRONG_DAY


class AmountParameter(forms.CharField):
    """An exact amount in an address."""

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None when the parameter is empty."""
        return parse_parameter(parse_amount, super().to_python(value))


class TimestampParameter(forms.CharField):
    """An instant in an address, or a day, which begins at midnight UTC."""

    def to_python(self, value: Any) -> Any:
        """Return the instant, or None when the parameter is empty."""
        return parse_parameter(parse_start_of, super().to_python(value))


def parse_start_of(text: str) -> datetime:
    """Return the instant, or the day's first in UTC."""
    moment = parse_timestamp_or_date(text)
    return moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day, tzinfo=UTC)


def parse_parameter(read: Any, text: str | None) -> Any:
    """Return what `read` makes of a parameter that is not empty; its complaint becomes the form's."""
    try:
        return read(text) if text else None
    except ValueError as error:
        raise FormError(WRONG_DAY if read is parse_start_of else str(error), code="invalid") from error
