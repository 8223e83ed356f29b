"""Fields for amounts and timestamps in requests. Each accepts one notation, so that nothing is guessed or rounded."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError as FormError
from django.core.validators import MinValueValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kernel.readable_text import normal_text
from kernel.timestamps import format_timestamp
from kernel.validation import is_reversed
from wallet.money import check_currency

AMOUNT = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?", re.ASCII)
MAX_DIGITS, MAX_DECIMALS = 15, 4
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# RFC 3339 §5.6, with T and Z in capitals.
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
# A year outside this range is a mistake, and near the limits of the calendar a conversion between time zones overflows.
YEARS = range(1970, 9999)

INVALID_AMOUNT = 'Write the amount as plain decimal digits in a string, e.g. "100.00".'
LONG_AMOUNT = f"Write the amount with at most {MAX_DIGITS} digits before the decimal point and {MAX_DECIMALS} after it."
INEXACT_NUMBER = f"A JSON number with a fraction or an exponent is not exact. {INVALID_AMOUNT}"
INVALID_TIMESTAMP = "Use a timestamp with its offset, e.g. 2027-03-31T18:30:00Z (encode + as %2B in a URL)"
INVALID_DATE = "Use a date, e.g. 2027-03-31."
INVALID_TIMESTAMP_OR_DATE = f"{INVALID_TIMESTAMP}, or a date, e.g. 2027-03-31."
INVALID_JSON_NUMBER = "Send a whole number without quotes or fraction, e.g. 25."


def parse_amount(text: str) -> Decimal:
    """Return an amount in plain decimal digits as a Decimal; raise ValueError for anything else (1e3, NaN, ٣, " 1")."""
    found = AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(INVALID_AMOUNT)
    digits, decimals = found.groups(default="")
    if len(digits) > MAX_DIGITS or len(decimals) > MAX_DECIMALS:
        raise ValueError(LONG_AMOUNT)
    return Decimal(text)


def parse_timestamp(text: str) -> datetime:
    """Return an RFC 3339 timestamp in UTC; raise ValueError for anything else."""
    if not TIMESTAMP.fullmatch(text) or int(text[:4]) not in YEARS:
        raise ValueError(f"{INVALID_TIMESTAMP}.")
    return datetime.fromisoformat(text).astimezone(UTC)


def parse_timestamp_or_date(text: str) -> datetime | date:
    """Return an RFC 3339 timestamp in UTC or an ISO 8601 date; raise ValueError for anything else."""
    return parse_date(text) if DATE.fullmatch(text) else parse_timestamp(text)


def parse_date(text: str) -> date:
    """Return an ISO 8601 date; raise ValueError for anything else."""
    if not DATE.fullmatch(text) or int(text[:4]) not in YEARS:
        raise ValueError(INVALID_DATE)
    return date.fromisoformat(text)


def parse_timestamp_or_midnight(text: str) -> datetime:
    """Return a timestamp, or the midnight in UTC at which a date begins; raise ValueError for anything else."""
    value = parse_timestamp_or_date(text)
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)


def one_of(values: Iterable[object]) -> str:
    """Return the sentence about a value that is none of these."""
    return f"Use one of: {', '.join(map(str, values))}."


class ChoiceField(serializers.ChoiceField):
    """One of several values, which the refusal of another one lists."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = one_of(self.choices)


class ListField(serializers.ListField):
    """A list of bounded length."""

    default_error_messages: ClassVar = {
        "not_a_list": "Send a list, in square brackets.",
        "min_length": "Send a list of {min_length} or more items.",
        "max_length": "Send a list of at most {max_length} items.",
    }


@extend_schema_field({"type": "string", "minLength": 3, "maxLength": 3, "examples": ["INR"]})
class CurrencyField(serializers.CharField):
    """An ISO 4217 code in capitals."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[check_currency], **options)


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
    """A whole number in a body: a JSON integer. DRF's field also takes 2.0, "2", "1_0" and "٢"."""

    default_error_messages: ClassVar = {"invalid": INVALID_JSON_NUMBER}

    def to_internal_value(self, data: Any) -> int:
        """Return the number; raise ValidationError."""
        if type(data) is not int:
            self.fail("invalid")
        return int(data)


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


@extend_schema_field({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})
class MomentField(TimestampField):
    """A timestamp in a query string, or a date, which means its midnight in UTC."""

    parse = staticmethod(parse_timestamp_or_midnight)
    error_message = INVALID_TIMESTAMP_OR_DATE


@extend_schema_field({"type": "string", "format": "date"})
class DateField(TimestampField):
    """A date in a request. DRF's field also takes 2027-3-1 and 20270301."""

    parse = staticmethod(parse_date)  # type: ignore[assignment]
    error_message = INVALID_DATE


class AmountParameter(forms.CharField):
    """An exact amount in a query string, 0 or more."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[MinValueValidator(0, "Use an amount of 0 or more.")], **options)

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None when the parameter is empty."""
        try:
            return parse_amount(text) if (text := super().to_python(value)) else None
        except ValueError as error:
            raise FormError(str(error), code="amount") from error


class TimestampParameter(forms.CharField):
    """A timestamp in a query string, or a date, which means its midnight in UTC."""

    def to_python(self, value: Any) -> Any:
        """Return the timestamp, or None when the parameter is empty."""
        try:
            return parse_timestamp_or_midnight(text) if (text := super().to_python(value)) else None
        except ValueError as error:
            raise FormError(INVALID_TIMESTAMP_OR_DATE, code="instant") from error


def range_errors(values: Mapping[str, Any], ranges: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return an error beside the upper limit of each of the ranges, named by their limits, that ends before it begins."""
    return {
        upper: f"The range is reversed: `{upper}` must not be less than `{lower}`."
        for lower, upper in ranges
        if is_reversed(values.get(lower), values.get(upper))
    }
