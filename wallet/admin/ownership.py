"""The section of ownership: credits with their owners, and the totals of the filtered list."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.expensive_reads import SEARCH, expensive_read_view
from wallet.admin import formatting, owners
from wallet.admin.assets import LABELS
from wallet.admin.base import ReadOnlyAdmin, require_operator, require_safe_method
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import CurrencyFilter, DayFilter, PoolFilter, StatusFilter
from wallet.admin.search import SearchByIdMixin
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool
from wallet.ledger.models import ClaimedAsset
from wallet.money import CURRENCIES
from wallet.queries import ownership, supply

# Filters whose totals the supply counters hold.
SUPPLY_FILTERS = {"pool", "currency", "status"}


@admin.register(ClaimedAsset)
class OwnershipAdmin(SearchByIdMixin, ExportMixin, ReadOnlyAdmin):
    """Every asset with its owner, registered in the ledger app next to the entries."""

    list_display = ("title", "value", "status_now", "owner", "claimed", "pool_name")
    list_filter = (StatusFilter, PoolFilter, CurrencyFilter, ("claimed_at", DayFilter))
    ordering = ("-id",)  # as in the API's report; the primary key finds the first page
    search_fields = ("claimed_by__email",)
    search_help_text = _("Owner's email or the credit's ID")
    change_list_template = "admin/ownership.html"
    report = Report("ownership", ownership.OWNERSHIP_COLUMNS, ownership.ownership_row)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows of the ownership report."""
        return ownership.ownership_rows()

    def get_urls(self) -> list[Any]:
        """Add the URLs of the customers page."""
        site = self.admin_site.admin_view
        return [
            path("owners/", site(owners.owners_page), name="ledger_claimedasset_owners"),
            path("owners/export/<str:file_format>/", site(owners.export_owners), name="ledger_claimedasset_owners_export"),
            *super().get_urls(),
        ]

    @method_decorator(expensive_read_view(SEARCH))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list with the totals of all its pages."""
        response: Any = super().changelist_view(request, extra_context)
        if "cl" in (context := getattr(response, "context_data", {})):
            context["totals"] = [owners.readable_line(total) for total in self.totals(request, context["cl"])]
        return response  # type: ignore[no-any-return]

    def totals(self, request: HttpRequest, listed: Any) -> list[dict[str, Any]]:
        """Return the totals per currency and status; for whole pools and currencies, from the supply counters."""
        if listed.query or not listed.filter_params.keys() <= SUPPLY_FILTERS:
            return ownership.ownership_totals(listed.get_queryset(request))
        pool_ids = {str(pool) for pool in CreditPool.objects.values_list("pk", flat=True)}
        values = {name: values[-1] for name, values in listed.filter_params.items()}
        valid = {"pool": pool_ids, "currency": CURRENCIES}
        condition = Q(**{name: values[name] for name, choices in valid.items() if values.get(name) in choices})
        totals = supply.supply_totals(condition)
        status = values.get("status")
        return [total for total in totals if status not in AssetStatus.values or total["current_status"] == status]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Redirect to the credit's page."""
        require_operator(require_safe_method(request))
        return redirect("admin:assets_cashbackasset_change", object_id)

    @display(description=_("value"), ordering="total_value")  # type: ignore[untyped-decorator]
    def value(self, asset: CashbackAsset) -> str:
        """Return the amount and its currency."""
        return formatting.format_money(asset.total_value, asset.currency)

    @display(description=_("status"), label=LABELS)  # type: ignore[untyped-decorator]
    def status_now(self, asset: CashbackAsset) -> str:
        """Return the current status."""
        return AssetStatus(asset.current_status).label

    @display(description=_("owner"), ordering="claimed_by__email", empty_value=_("unclaimed"))  # type: ignore[untyped-decorator]
    def owner(self, asset: CashbackAsset) -> Any:
        """Return the owner, with a link to their credits."""
        return formatting.link_to_owner(asset.claimed_by)

    @display(description=_("claimed (UTC)"), ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, asset: CashbackAsset) -> Any:
        """Return the time of the claim."""
        return formatting.format_moment_cell(asset.claimed_at)

    @display(description=_("pool"), ordering="pool__name")  # type: ignore[untyped-decorator]
    def pool_name(self, asset: CashbackAsset) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(asset.pool)
