"""Fields for amounts and timestamps in requests. Each accepts one notation, so that nothing is guessed or rounded."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError as FormError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kernel.readable_text import normal_text
from kernel.timestamps import format_timestamp
from kernel.whole_numbers import INVALID_WHOLE_NUMBER, parse_whole_number

AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?", re.ASCII)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# RFC 3339 §5.6, with T and Z in capitals.
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
# A year outside this range is a mistake, and near the limits of the calendar a conversion between time zones overflows.
YEARS = range(1970, 9999)

INVALID_AMOUNT = 'Write the amount as plain decimal digits in a string, e.g. "100.00".'
INEXACT_NUMBER = f"A JSON number with a fraction or an exponent is not exact. {INVALID_AMOUNT}"
INVALID_TIMESTAMP = "Use a timestamp with its offset, e.g. 2027-03-31T18:30:00Z (encode + as %2B in a URL)"
INVALID_TIMESTAMP_OR_DATE = f"{INVALID_TIMESTAMP}, or a date, e.g. 2027-03-31."


def parse_amount(text: str) -> Decimal:
    """Return an amount in plain decimal digits as a Decimal; raise ValueError for anything else (1e3, NaN, ٣, " 1")."""
    if not AMOUNT.fullmatch(text):
        raise ValueError(INVALID_AMOUNT)
    return Decimal(text)


def parse_timestamp(text: str) -> datetime:
    """Return an RFC 3339 timestamp in UTC; raise ValueError for anything else."""
    if not TIMESTAMP.fullmatch(text) or int(text[:4]) not in YEARS:
        raise ValueError(f"{INVALID_TIMESTAMP}.")
    return datetime.fromisoformat(text).astimezone(UTC)


def parse_timestamp_or_date(text: str) -> datetime | date:
    """Return an RFC 3339 timestamp in UTC or an ISO 8601 date; raise ValueError for anything else."""
    if not DATE.fullmatch(text):
        return parse_timestamp(text)
    if int(text[:4]) not in YEARS:
        raise ValueError(INVALID_TIMESTAMP_OR_DATE)
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
            raise serializers.ValidationError(INEXACT_NUMBER if isinstance(data, float) else INVALID_AMOUNT, code="amount")
        try:
            return parse_amount(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="amount") from error

    def to_representation(self, value: Decimal) -> str:
        """Return the initial value in the form of the browsable API."""
        return str(value)


class TextField(serializers.CharField):
    """Text that others read, in its normal form, so that a retry in another form is the same request."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text; raise ValidationError."""
        return normal_text(super().to_internal_value(data))


class WholeNumberField(serializers.IntegerField):
    """A whole number in a request: a JSON integer, or a string of plain digits. DRF's field also takes 2.0, "1_0" and "٢"."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number; raise ValidationError."""
        try:
            return data if type(data) is int else parse_whole_number(data)
        except (TypeError, ValueError) as error:
            raise serializers.ValidationError(INVALID_WHOLE_NUMBER, code="invalid") from error


@extend_schema_field({"type": "string", "format": "date-time"})
class TimestampField(serializers.Field[datetime | date, str, str, Any]):
    """A timestamp in a request, with its offset from UTC."""

    parse = staticmethod(parse_timestamp)
    error_message = f"{INVALID_TIMESTAMP}."

    def to_internal_value(self, data: Any) -> datetime | date:
        """Return the parsed value; raise ValidationError."""
        try:
            return self.parse(data)
        except (TypeError, ValueError) as error:
            raise serializers.ValidationError(self.error_message, code="instant") from error

    def to_representation(self, value: datetime | date) -> str:
        """Return the initial value in the form of the browsable API."""
        return format_timestamp(value) if isinstance(value, datetime) else value.isoformat()


@extend_schema_field(
    {
        "oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
        "examples": ["2027-03-31", "2027-03-31T18:30:00Z"],
        "description": "Expiry time (exclusive), or the last day in the pool's time zone; null if it never expires.",
    }
)
class ExpiryField(TimestampField):
    """An expiry: a timestamp, or a date whose end in the pool's time zone is meant."""

    parse = staticmethod(parse_timestamp_or_date)  # type: ignore[assignment]
    error_message = INVALID_TIMESTAMP_OR_DATE


class AmountParameter(forms.CharField):
    """An exact amount in a query string."""

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None when the parameter is empty."""
        return parse_parameter(parse_amount, super().to_python(value))


class TimestampParameter(forms.CharField):
    """A timestamp in a query string, or a date, which means its midnight in UTC."""

    def to_python(self, value: Any) -> Any:
        """Return the timestamp, or None when the parameter is empty."""
        return parse_parameter(parse_timestamp_or_midnight, super().to_python(value))


def parse_timestamp_or_midnight(text: str) -> datetime:
    """Return a timestamp, or the midnight in UTC at which a date begins; raise ValueError for anything else."""
    value = parse_timestamp_or_date(text)
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)


def parse_parameter(parse: Any, text: str | None) -> Any:
    """Return the parsed parameter, or None when it is empty. Raises the form's ValidationError."""
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise FormError(
            INVALID_TIMESTAMP_OR_DATE if parse is parse_timestamp_or_midnight else str(error), code="invalid"
        ) from error
