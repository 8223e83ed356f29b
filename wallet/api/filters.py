"""What lists can be narrowed by. A value that cannot be meant is refused, never ignored."""

from typing import Any

import django_filters
from django.core.exceptions import ValidationError as FormError
from django.db.models import Q, QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings

from wallet.api.fields import AmountParameter, TimestampParameter
from wallet.assets.models import AssetStatus
from wallet.assets.querysets import CLAIMABLE, DUE, AssetQuerySet
from wallet.money import check_currency

# What is true now, whether or not the sweep has been; each in terms of indexed columns.
NOW = {
    AssetStatus.AVAILABLE: CLAIMABLE,
    AssetStatus.CLAIMED: Q(status=AssetStatus.CLAIMED),
    AssetStatus.EXPIRED: Q(status=AssetStatus.EXPIRED) | DUE,
}


def check_parameters(request: Request, known: set[str]) -> None:
    """Raise ValidationError when the address has a parameter that is not in `known`, is there twice, or is empty.

    The form of the browsable page sends its empty fields along; a program that sends one has lost its value on the way.
    """
    known = known | {str(api_settings.URL_FORMAT_OVERRIDE)}
    by_form = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    errors = {}
    for name, values in request.query_params.lists():
        if name not in known:
            errors[name] = f"Unknown parameter. Known are: {', '.join(sorted(known))}."
        elif len(values) > 1:
            errors[name] = "Give this parameter once."
        elif not values[0] and not by_form:
            errors[name] = "Give this parameter a value, or leave it out."
    if errors:
        raise ValidationError(errors, code="parameter")


class StrictFilters(DjangoFilterBackend):  # type: ignore[misc]
    """Filters a list by its `filterset_class` and refuses every parameter that nobody reads."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return what passes. Raises ValidationError."""
        filters = self.get_filterset_class(view, queryset)
        check_parameters(request, {*(filters.base_filters if filters else ()), *view.paginator.parameters})
        asked = self.get_filterset(request, queryset, view)
        if asked is None:
            return queryset
        if not asked.is_valid():
            # Not django-filter's own translation, which takes a % in what was asked for a placeholder.
            raise FormError(asked.form.errors.as_data())
        found: QuerySet[Any] = asked.qs
        return found


@extend_schema_field({"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$"})
class AmountFilter(django_filters.Filter):  # type: ignore[misc]
    """Compares with an exact amount."""

    field_class = AmountParameter


@extend_schema_field(
    {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]},
)
class TimestampFilter(django_filters.Filter):  # type: ignore[misc]
    """Compares with an instant; a day stands for its first instant in UTC."""

    field_class = TimestampParameter


class AssetFilter(FilterSet):  # type: ignore[misc]
    """Narrows assets."""

    status = django_filters.ChoiceFilter(choices=AssetStatus.choices, method="that_are", help_text="What is true now.")
    pool = django_filters.UUIDFilter()
    currency = django_filters.CharFilter(validators=[check_currency])
    min_value = AmountFilter("total_value", "gte")
    max_value = AmountFilter("total_value", "lte")
    expires_after = TimestampFilter("expires_at", "gte", help_text="Expires at this instant or later.")
    expires_before = TimestampFilter("expires_at", "lt", help_text="Expires before this instant.")
    mine = django_filters.ChoiceFilter(
        choices=[("true", "Yes"), ("false", "No")], method="of_the_caller", help_text="Whether the caller claimed it."
    )
    search = django_filters.CharFilter(method="in_parts", max_length=200, help_text="Text within the title, in any case.")

    def in_parts(self, assets: AssetQuerySet, name: str, text: str) -> AssetQuerySet:
        """Keep all: each part of the list is searched in its own way (see wallet.api.asset_list)."""
        return assets

    def that_are(self, assets: AssetQuerySet, name: str, status: str) -> AssetQuerySet:
        """Keep what is in `status` now."""
        return assets.filter(NOW[AssetStatus(status)])

    def of_the_caller(self, assets: AssetQuerySet, name: str, yes: str) -> AssetQuerySet:
        """Keep what the caller claimed, or the rest."""
        mine = Q(claimed_by=self.request.user.pk)
        return assets.filter(mine if yes == "true" else ~mine)


class OwnershipFilter(AssetFilter):
    """Narrows the ownership report, which is read as a whole."""

    search = django_filters.CharFilter("title", "icontains", max_length=200, help_text="Text within the title, in any case.")
    owner = django_filters.CharFilter(
        "claimed_by__email", "icontains", max_length=254, help_text="Text within the owner's email, in any case."
    )


class ClaimFilter(FilterSet):  # type: ignore[misc]
    """Narrows claims: `from` is included, `to` is not."""

    user = django_filters.UUIDFilter("user_id")
    asset = django_filters.UUIDFilter("asset_id")
    pool = django_filters.UUIDFilter("asset__pool_id")
    to = TimestampFilter("claimed_at", "lt", help_text="Claimed before this instant.")

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        """Add the one whose name is a word of Python."""
        since = TimestampFilter("claimed_at", "gte", help_text="Claimed at this instant or later.")
        return {**super().get_filters(), "from": since}
