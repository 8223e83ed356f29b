"""Query strings of the wallet."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from wallet.api.fields import ChoiceField, CurrencyField, MomentField, range_errors
from wallet.api.payment_serializers import HISTORY_KINDS


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

    kind = ChoiceField(choices=HISTORY_KINDS, required=False)
    currency = CurrencyField(required=False)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword of Python, and `to`."""
        since = MomentField(required=False, help_text="At this time or later.")
        return {**super().get_fields(), "from": since, "to": MomentField(required=False, help_text="Before this time.")}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters; raise ValidationError for a time that ends before it begins."""
        if errors := range_errors(attrs, [("from", "to")]):
            raise serializers.ValidationError(errors, code="range")
        return attrs
