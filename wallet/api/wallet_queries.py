"""Query strings of the wallet."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from kernel.strict_serializers import StrictSerializer
from wallet.api.fields import INVALID_TIMESTAMP_OR_DATE, TimestampField, parse_timestamp_or_midnight
from wallet.api.filters import check_parameters
from wallet.api.payment_serializers import HISTORY_KINDS
from wallet.money import check_currency


@extend_schema_field({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})
class MomentField(TimestampField):
    """A timestamp, or a date, which means its midnight in UTC."""

    parse = staticmethod(parse_timestamp_or_midnight)
    error_message = INVALID_TIMESTAMP_OR_DATE


class WalletQuery(StrictSerializer):
    """Whose balances, and as of when."""

    user = serializers.CharField(max_length=254, required=False, help_text="Id or email of the user; for services only.")
    as_of = MomentField(required=False, help_text="A time in the past; without it, now.")

    def validate_as_of(self, value: datetime) -> datetime:
        """Return the time; raise ValidationError for one that is yet to come."""
        if value > timezone.now():
            raise serializers.ValidationError("This time is yet to come.", code="future")
        return value


class HistoryQuery(StrictSerializer):
    """What of the history. `from` is inclusive, `to` is exclusive."""

    kind = serializers.ChoiceField(choices=HISTORY_KINDS, required=False)
    currency = serializers.CharField(min_length=3, max_length=3, required=False, validators=[check_currency])

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword of Python, and `to`."""
        since = MomentField(required=False, help_text="At this time or later.")
        return {**super().get_fields(), "from": since, "to": MomentField(required=False, help_text="Before this time.")}


def validated_query(request: Request, query: StrictSerializer, *others: str) -> dict[str, Any]:
    """Return the validated parameters of a request; raise ValidationError.

    Arguments:
        others: parameters that something else reads, such as the pagination.
    """
    check_parameters(request, {*query.fields, *others})
    given = {name: value for name, value in request.query_params.items() if name in query.fields and value}
    bound = type(query)(data=given)
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)
