"""Filters of the lists. An unknown parameter or an invalid value is refused, never ignored."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django import forms
from django.core.exceptions import ValidationError as FormError
from django.db.models import Q, QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.utils import extend_schema_field
from rest_framework.request import Request

from accounts.email_addresses import search_text
from wallet.api.fields import AmountParameter, TimestampParameter, one_of, range_errors
from wallet.api.named_users import NamedUserFilter
from wallet.assets.batches import Batch
from wallet.assets.models import AssetStatus
from wallet.assets.querysets import CLAIMABLE, DUE, AssetQuerySet, PoolQuerySet
from wallet.ledger.models import ProposalKind, ProposalState
from wallet.ledger.payment_state import IN_STATE, PaymentState
from wallet.money import check_currency
from wallet.queries import proposals
from wallet.queries.supply import require_comparable_values

NEEDS_CURRENCY = "Compares values: with credits of several currencies, `currency` or `pool` is required."
# The condition for each current status, whether or not the sweep has run, in terms of indexed columns.
CURRENT_STATUS = {
    AssetStatus.SCHEDULED: Q(status=AssetStatus.SCHEDULED),
    AssetStatus.AVAILABLE: CLAIMABLE,
    AssetStatus.CLAIMED: Q(status=AssetStatus.CLAIMED),
    AssetStatus.EXPIRED: Q(status=AssetStatus.EXPIRED) | DUE,
}


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]
    """Filters a list by its `filterset_class`; the view has refused unknown parameters."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the filtered rows. Raises ValidationError."""
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            # django-filter's own translation would take a % in the value for a placeholder.
            raise FormError(filterset.form.errors.as_data())
        filtered: QuerySet[Any] = filterset.qs
        return filtered


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$"})
class AmountFilter(django_filters.Filter):  # type: ignore[misc]
    """Compares with an exact amount."""

    field_class = AmountParameter


@extend_schema_field(
    {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]},
)
class TimestampFilter(django_filters.Filter):  # type: ignore[misc]
    """Compares with a timestamp; a date means its midnight in UTC."""

    field_class = TimestampParameter


class ChoiceFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """Compares with one of several values, which the refusal of another one lists."""

    def __init__(self, *, choices: Iterable[tuple[str, Any]], **options: Any) -> None:
        choices = list(choices)
        messages = {"invalid_choice": one_of(value for value, _label in choices)}
        super().__init__(choices=choices, error_messages=messages, **options)


class RangeFilterSet(FilterSet):  # type: ignore[misc]
    """Filters of which some are the limits of a range, which may not end before it begins."""

    ranges: ClassVar[tuple[tuple[str, str], ...]] = ()

    def is_valid(self) -> bool:
        """Return whether all values and ranges are valid."""
        if super().is_valid():
            for name, message in range_errors(self.form.cleaned_data, self.ranges).items():
                self.form.add_error(name, FormError(message, code="range"))
        return not self.errors


class TextParameter(forms.CharField):
    """Text to search for, in the normal form of what is stored."""

    def to_python(self, value: Any) -> Any:
        """Return the text."""
        return search_text(super().to_python(value) or "")


class TextFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Compares with text, whatever its normal form."""

    field_class = TextParameter


class AssetFilter(RangeFilterSet):
    """Filters of the asset list."""

    ranges = (("min_value", "max_value"), ("expires_after", "expires_before"))

    status = ChoiceFilter(choices=AssetStatus.choices, method="filter_status", help_text="Current status.")
    pool = django_filters.UUIDFilter()
    currency = django_filters.CharFilter(validators=[check_currency])
    min_value = AmountFilter("total_value", "gte", help_text=NEEDS_CURRENCY)
    max_value = AmountFilter("total_value", "lte", help_text=NEEDS_CURRENCY)
    expires_after = TimestampFilter("expires_at", "gte", help_text="Expires at this time or later.")
    expires_before = TimestampFilter("expires_at", "lt", help_text="Expires before this time.")
    mine = ChoiceFilter(
        choices=[("true", "Yes"), ("false", "No")], method="filter_mine", help_text="Whether the caller claimed it."
    )
    batch = django_filters.UUIDFilter(method="filter_batch", help_text="Issued in this batch.")
    search = django_filters.CharFilter(method="skip_search", max_length=200, help_text="Text in the title (case-insensitive).")

    def filter_queryset(self, queryset: AssetQuerySet) -> AssetQuerySet:
        """Return the filtered assets; raise ValidationError when amounts of different currencies would be compared."""
        is_file = self.request.accepted_renderer.format == "csv"  # a file is sorted within each currency
        sorts = self.data.get("ordering", "").lstrip("-") == "total_value" and not is_file
        if (sorts or {"min_value", "max_value"} & {*self.data}) and not (self.data.get("currency") or self.data.get("pool")):
            require_comparable_values()
        filtered: AssetQuerySet = super().filter_queryset(queryset)
        return filtered

    def skip_search(self, assets: AssetQuerySet, name: str, text: str) -> AssetQuerySet:
        """Return all rows: the branches of the list contain the search (see wallet.api.asset_list)."""
        return assets

    def filter_status(self, assets: AssetQuerySet, name: str, status: str) -> AssetQuerySet:
        """Return the assets whose current status is `status`."""
        return assets.filter(CURRENT_STATUS[AssetStatus(status)])

    def filter_batch(self, assets: AssetQuerySet, name: str, batch_id: UUID) -> AssetQuerySet:
        """Return the assets of the batch."""
        return assets.in_batch(Batch(batch_id))

    def filter_mine(self, assets: AssetQuerySet, name: str, value: str) -> AssetQuerySet:
        """Return the assets that the caller claimed, or all others."""
        mine = Q(claimed_by=self.request.user.pk)
        return assets.filter(mine if value == "true" else ~mine)


class OwnershipFilter(AssetFilter):
    """Filters of the ownership report, which is one query without branches."""

    search = TextFilter("title", "icontains", max_length=200, help_text="Text in the title (case-insensitive).")
    bom = ChoiceFilter(
        choices=[("1", "Yes"), ("0", "No")],
        method="skip_search",
        help_text="1: begin the CSV file with a byte order mark, by which spreadsheet programs know UTF-8.",
    )
    owner = TextFilter(
        "claimed_by__email", "icontains", max_length=254, help_text="Text in the owner's email (case-insensitive)."
    )


class PoolFilter(FilterSet):  # type: ignore[misc]
    """Filters of the pool list, which leaves archived pools out unless it is asked for them."""

    archived = ChoiceFilter(
        choices=[("true", "Yes"), ("false", "No")], method="filter_archived", help_text="Archived pools instead of the others."
    )

    def filter_archived(self, pools: PoolQuerySet, name: str, value: str) -> PoolQuerySet:
        """Return the archived pools, or all others."""
        return pools.exclude(archived_at=None) if value == "true" else pools.not_archived()


class ClaimFilter(RangeFilterSet):
    """Filters of the claim list. `from` is inclusive, `to` is exclusive."""

    ranges = (("from", "to"),)

    user = NamedUserFilter()
    asset = django_filters.UUIDFilter("asset_id")
    pool = django_filters.UUIDFilter("asset__pool_id")
    to = TimestampFilter("claimed_at", "lt", help_text="Claimed before this time.")

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        """Add the filter `from`, which is a keyword of Python."""
        since = TimestampFilter("claimed_at", "gte", help_text="Claimed at this time or later.")
        return {**super().get_filters(), "from": since}


class PaymentFilter(RangeFilterSet):
    """Filters of the payment list. `from` is inclusive, `to` is exclusive."""

    ranges = (("from", "to"),)

    state = extend_schema_field({"type": "string", "enum": list(PaymentState)})(
        ChoiceFilter(choices=[(state, state) for state in PaymentState], method="filter_state")
    )
    reference = django_filters.CharFilter(max_length=100, help_text="The service's name of the order, as a whole.")
    currency = django_filters.CharFilter(validators=[check_currency])
    service = django_filters.UUIDFilter("service_id")
    user = NamedUserFilter()
    to = TimestampFilter("began_at", "lt", help_text="Begun before this time.")

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        """Add the filter `from`, which is a keyword of Python."""
        return {**super().get_filters(), "from": TimestampFilter("began_at", "gte", help_text="Begun at this time or later.")}

    def filter_state(self, payments: QuerySet[Any], name: str, state: str) -> QuerySet[Any]:
        """Return the payments that are in this state now."""
        return payments.filter(IN_STATE[PaymentState(state)])


class ProposalFilter(FilterSet):  # type: ignore[misc]
    """Filters of the proposals."""

    state = extend_schema_field({"type": "string", "enum": list(ProposalState)})(
        ChoiceFilter(choices=[(state, state) for state in ProposalState], method="filter_state")
    )
    kind = extend_schema_field({"type": "string", "enum": list(ProposalKind)})(ChoiceFilter(choices=ProposalKind.choices))
    pool = django_filters.UUIDFilter("pool_id")

    def filter_state(self, rows: QuerySet[Any], name: str, state: str) -> QuerySet[Any]:
        """Return the proposals that are in this state now."""
        return rows.filter(proposals.IN_STATE[ProposalState(state)])


class LotFilter(FilterSet):  # type: ignore[misc]
    """Filters of the credits of a wallet."""

    currency = django_filters.CharFilter(validators=[check_currency])
    open = ChoiceFilter(
        choices=[("true", "Yes"), ("false", "No")],
        method="as_found",
        help_text="true, unless given: something is available. false: nothing is available any more.",
    )
    user = django_filters.CharFilter(max_length=254, method="as_found", help_text="Id or email of the user; for services only.")

    def as_found(self, lots: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Return all rows: the view has read these two to find them."""
        return lots
