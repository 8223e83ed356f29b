"""Serializers of request bodies. Each refuses unknown fields."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.serializers import as_serializer_error

from kernel.strict_serializers import StrictSerializer
from wallet.actions import edit_pool, issue_assets
from wallet.actions.issue_assets import MAX_ISSUE_COUNT
from wallet.api.fields import (
    AmountField,
    ChoiceField,
    CurrencyField,
    DateField,
    ExpiryField,
    TextField,
    TimestampField,
    WholeNumberField,
)
from wallet.assets.models import CreditPool, LimitPeriod, PoolKind, check_time_zone


class EmptyBody(StrictSerializer):
    """An empty body, or {}."""


class CheckedBody(StrictSerializer):
    """A body whose valid fields are checked by the action even when other fields are invalid."""

    check_fields: ClassVar[Callable[..., None]]
    not_checked: ClassVar[frozenset[str]] = frozenset()

    def further_errors(self, valid: dict[str, Any]) -> dict[str, Any]:
        """Return the action's errors of the valid fields."""
        given = {name: self.fields[name].run_validation(value) for name, value in valid.items() if name not in self.not_checked}
        try:
            type(self).check_fields(**given)
        except ValidationError as error:
            return {name: texts for name, texts in as_serializer_error(error).items() if name in given}
        return {}


class PoolBody(CheckedBody):
    """The fields of a pool that an ADMIN sets."""

    check_fields = edit_pool.check_fields

    name = TextField(max_length=100)
    kind = ChoiceField(choices=PoolKind.choices)
    currency = CurrencyField(help_text="ISO 4217, e.g. INR.")
    per_user_limit = WholeNumberField(
        min_value=1, max_value=32_767, required=False, allow_null=True, help_text="How many credits each user may claim."
    )
    period_limit = WholeNumberField(
        min_value=1,
        max_value=32_767,
        required=False,
        allow_null=True,
        help_text="How many credits each user may claim per limit_period.",
    )
    limit_period = ChoiceField(
        choices=LimitPeriod.choices,
        required=False,
        help_text="By the calendar of the pool's time zone; weeks begin on Monday. DAY unless given.",
    )
    opens_at = TimestampField(required=False, help_text="When claiming starts. Defaults to now.")
    closes_at = TimestampField(required=False, allow_null=True, help_text="When claiming ends (exclusive); null for no end.")
    is_active = serializers.BooleanField(required=False, help_text="false pauses claims and hides the pool from users.")
    grants_only = serializers.BooleanField(
        required=False,
        help_text="true hides the pool from users: its credits are only granted, by rules, services and operators.",
    )
    time_zone = serializers.CharField(
        max_length=64, required=False, validators=[check_time_zone], help_text="Time zone used for end-of-day expiry."
    )
    approval_threshold = AmountField(
        required=False,
        allow_null=True,
        help_text="Issues, grants, clawbacks and extensions worth more wait for another operator; null for none.",
    )

    budget = AmountField(
        required=False, allow_null=True, help_text="Issue credits when they are needed, up to this total value; null: by hand."
    )
    credit_title = TextField(max_length=200, required=False, allow_blank=True, help_text="Title of credits issued on demand.")
    credit_value = AmountField(required=False, allow_null=True, help_text="Value of each credit issued on demand.")
    credit_lifetime = serializers.CharField(
        max_length=60,
        required=False,
        allow_null=True,
        help_text='How long credits issued on demand can be claimed, e.g. "30 days"; null for ever.',
    )


class DuplicateBody(StrictSerializer):
    """The name of a pool with the settings of another one."""

    name = TextField(max_length=100)


class IssueBody(CheckedBody):
    """Identical credits to issue in a pool."""

    check_fields = issue_assets.check_fields
    not_checked = frozenset({"count", "per_day", "starts_on", "preview"})

    count = WholeNumberField(min_value=1, max_value=MAX_ISSUE_COUNT)
    title = TextField(max_length=200)
    total_value = AmountField()
    expires_at = ExpiryField(required=False, allow_null=True)
    per_day = WholeNumberField(
        min_value=1,
        max_value=MAX_ISSUE_COUNT,
        required=False,
        allow_null=True,
        help_text="So many can first be claimed on each day, from midnight in the pool's time zone on; null: all at once.",
    )
    starts_on = DateField(
        required=False, allow_null=True, help_text="The first day on which they can be claimed; null: today, at once."
    )
    preview = serializers.BooleanField(required=False, help_text="true: issue nothing and show what would be issued.")


class AssetBody(CheckedBody):
    """The fields of a credit that an ADMIN sets."""

    check_fields = issue_assets.check_fields

    title = TextField(max_length=200)
    total_value = AmountField()
    currency = CurrencyField(required=False, help_text="ISO 4217. Defaults to the pool's.")
    pool = serializers.PrimaryKeyRelatedField(
        queryset=CreditPool.objects.all(),
        pk_field=serializers.UUIDField(),
        required=False,
        allow_null=True,
        error_messages={"does_not_exist": "No pool has this id."},
    )
    expires_at = ExpiryField(required=False, allow_null=True)


class RecreateBody(CheckedBody):
    """The fields in which the new credit differs from its parent."""

    check_fields = issue_assets.check_fields

    title = TextField(max_length=200, required=False)
    total_value = AmountField(required=False)
    expires_at = ExpiryField(required=False, allow_null=True, help_text="Defaults to the original's duration from now on.")


class SummaryQuery(StrictSerializer):
    """The filters of the summary."""

    pool = serializers.UUIDField(required=False)
    currency = CurrencyField(required=False)
