"""The shapes of what callers send. Each names its fields and refuses any other."""

from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from wallet.actions.issue_assets import MAX_ISSUE_COUNT
from wallet.api.fields import AmountField, ExpiryField, TimestampField
from wallet.assets.models import CreditPool, PoolKind, check_time_zone
from wallet.money import check_currency


class EmptyBody(StrictSerializer):
    """The body of a call that needs none: empty, or {}."""


class PoolBody(StrictSerializer):
    """A pool as an ADMIN writes it."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=PoolKind.choices)
    currency = serializers.CharField(min_length=3, max_length=3, validators=[check_currency], help_text="ISO 4217, e.g. INR.")
    per_user_limit = serializers.IntegerField(
        min_value=1, max_value=32_767, required=False, allow_null=True, help_text="How many credits one user may claim."
    )
    opens_at = TimestampField(required=False, help_text="Claims are accepted from this instant on. Not given: now.")
    closes_at = TimestampField(required=False, allow_null=True, help_text="First instant without claims. null: stays open.")
    is_active = serializers.BooleanField(required=False, help_text="false stops claims at once and hides the pool from users.")
    time_zone = serializers.CharField(
        max_length=64, required=False, validators=[check_time_zone], help_text='In which "until 31 March" ends.'
    )


class IssueBody(StrictSerializer):
    """Equal credits to issue in a pool."""

    count = serializers.IntegerField(min_value=1, max_value=MAX_ISSUE_COUNT)
    title = serializers.CharField(max_length=200)
    total_value = AmountField()
    expires_at = ExpiryField(required=False, allow_null=True)


class AssetBody(StrictSerializer):
    """A credit as an ADMIN writes it."""

    title = serializers.CharField(max_length=200)
    total_value = AmountField()
    currency = serializers.CharField(
        min_length=3, max_length=3, required=False, validators=[check_currency], help_text="ISO 4217. Not given: the pool's."
    )
    pool = serializers.PrimaryKeyRelatedField(
        queryset=CreditPool.objects.all(), pk_field=serializers.UUIDField(), required=False, allow_null=True
    )
    expires_at = ExpiryField(required=False, allow_null=True)


class RecreateBody(StrictSerializer):
    """What the new credit shall have other than its parent."""

    title = serializers.CharField(max_length=200, required=False)
    total_value = AmountField(required=False)
    expires_at = ExpiryField(required=False, allow_null=True, help_text="Not given: as long a life as the parent's was to be.")


class SummaryQuery(StrictSerializer):
    """What the summary can be narrowed to."""

    pool = serializers.UUIDField(required=False)
    currency = serializers.CharField(min_length=3, max_length=3, required=False, validators=[check_currency])
