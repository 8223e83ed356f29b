"""Bodies of requests about payments, grants and claimed credits. Amounts, references and holds are checked by the actions."""

from typing import Any

from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from wallet.actions.payment_checks import MAX_HOLD_SECONDS, MIN_HOLD_SECONDS
from wallet.api.fields import AmountField, CurrencyField, ListField, TextField, TimestampField, WholeNumberField
from wallet.api.named_users import NAME_HELP

MAX_REQUEST_LINES = 500  # of a bulk grant: a body has at most 64 KB
REFERENCE_HELP = "1 to 100 printable ASCII characters without spaces at the ends."


class ReferenceField(serializers.CharField):
    """The caller's name of an order, a refund or a grant, taken as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, help_text=REFERENCE_HELP, **options)


class ReasonField(TextField):
    """A short reason, such as "returned"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=20, **options)


class UserNameField(serializers.CharField):
    """A user by id or email."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, help_text=NAME_HELP, **options)


class QuoteBody(StrictSerializer):
    """What a payment would be asked for."""

    user = UserNameField(required=False)
    service = serializers.UUIDField(required=False, help_text="Where a user would pay; a service quotes for itself.")
    currency = CurrencyField(help_text="ISO 4217, e.g. INR.")
    amount = AmountField()
    up_to = serializers.BooleanField(required=False, help_text="Pay as much as is available, instead of all or nothing.")


class PaymentBody(QuoteBody):
    """An order to pay."""

    reference = ReferenceField()
    capture = serializers.BooleanField(help_text="true: spend at once. false: hold for a later capture.")
    hold_seconds = WholeNumberField(
        required=False, help_text=f"How long to hold: {MIN_HOLD_SECONDS} to {MAX_HOLD_SECONDS} seconds, 1800 unless given."
    )
    order_total = AmountField(required=False, help_text="What the whole order costs, for the record: at least the amount.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the fields; raise ValidationError for the duration of something that is not held."""
        if attrs["capture"] and "hold_seconds" in attrs:
            raise serializers.ValidationError(
                {"hold_seconds": "Only a hold ends: send it with capture false."}, code="not_allowed"
            )
        return attrs


class CaptureBody(StrictSerializer):
    """How much of a hold to capture: all of it unless an amount is given."""

    amount = AmountField(required=False)
    final = serializers.BooleanField(required=False, help_text="true, unless given: release the rest. false: more may follow.")


class RefundBody(StrictSerializer):
    """How much to refund: all that is refundable unless an amount is given."""

    amount = AmountField(required=False)
    reference = ReferenceField()
    reason = ReasonField()


class GrantBody(StrictSerializer):
    """A credit for a user."""

    user = UserNameField()
    pool = serializers.UUIDField()
    reference = ReferenceField()
    reason = ReasonField()


class GrantLineBody(StrictSerializer):
    """One credit for one user."""

    user = UserNameField()
    reference = ReferenceField()


class GrantBatchBody(StrictSerializer):
    """Credits of one pool for many users."""

    pool = serializers.UUIDField()
    reason = ReasonField()
    lines = ListField(child=GrantLineBody(), min_length=1, max_length=MAX_REQUEST_LINES)
    preview = serializers.BooleanField(required=False, help_text="true: grant nothing and show what would become of each line.")


class ClawbackBody(StrictSerializer):
    """How much of a claim to take back: all that was not taken back unless an amount is given."""

    amount = AmountField(required=False)
    reason = ReasonField()
    note = TextField(required=False, allow_blank=True, max_length=1_000, help_text="The ledger keeps its digest only.")
    preview = serializers.BooleanField(required=False, help_text="true: change nothing and show what would be taken.")


class ExtendBody(StrictSerializer):
    """A later end of a claimed credit."""

    until = TimestampField(help_text="The new end (exclusive).")
    reason = ReasonField()
    preview = serializers.BooleanField(required=False, help_text="true: change nothing and show the new end.")
