"""Who owns what: a list to search and filter, with the totals of all that it holds."""

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
from wallet.admin.export import Exportable, Report
from wallet.admin.filters import CurrencyFilter, DayFilter, PoolFilter, StatusFilter
from wallet.admin.search import SearchByIdMixin
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool
from wallet.ledger.models import ClaimedAsset
from wallet.money import CURRENCIES
from wallet.queries import ownership, supply

# What the supply is told by.
WITH_SUPPLY = {"pool", "currency", "status"}


@admin.register(ClaimedAsset)
class OwnershipAdmin(SearchByIdMixin, Exportable, ReadOnlyAdmin):
    """Every asset with its owner: the ledger's view of assets, so that it stands beside the entries."""

    list_display = ("title", "value", "status_now", "owner", "claimed", "pool_name")
    list_filter = (StatusFilter, PoolFilter, CurrencyFilter, ("claimed_at", DayFilter))
    ordering = ("-id",)  # as the API's report: by its key the first page is found without the rest
    search_fields = ("claimed_by__email",)
    search_help_text = _("Owner's email or the credit's id")
    change_list_template = "admin/ownership.html"
    report = Report("ownership", ownership.OWNERSHIP_COLUMNS, ownership.ownership_row)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return what the report is made of."""
        return ownership.ownership_rows()

    def get_urls(self) -> list[Any]:
        """Add the view by user to the room's addresses."""
        site = self.admin_site.admin_view
        return [
            path("owners/", site(owners.owners_page), name="ledger_claimedasset_owners"),
            path("owners/export/<str:shape>/", site(owners.export_owners), name="ledger_claimedasset_owners_export"),
            *super().get_urls(),
        ]

    @method_decorator(expensive_read_view(SEARCH))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list with the totals of all that it holds, not of one page."""
        response: Any = super().changelist_view(request, extra_context)
        if "cl" in (shown := getattr(response, "context_data", {})):
            shown["totals"] = [owners.readable_line(total) for total in self.totals(request, shown["cl"])]
        return response  # type: ignore[no-any-return]

    def totals(self, request: HttpRequest, listed: Any) -> list[dict[str, Any]]:
        """Return the totals of a list per currency and status: of whole pools and currencies without counting credits."""
        if listed.query or not listed.filter_params.keys() <= WITH_SUPPLY:
            return ownership.ownership_totals(listed.get_queryset(request))
        known = {str(pool) for pool in CreditPool.objects.values_list("pk", flat=True)}
        given = {name: values[-1] for name, values in listed.filter_params.items()}
        wanted = Q(
            **{name: given[name] for name, all_ in (("pool", known), ("currency", CURRENCIES)) if given.get(name) in all_}
        )
        totals = supply.supply_totals(wanted)
        status = given.get("status")
        return [total for total in totals if status not in AssetStatus.values or total["current_status"] == status]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the credit in its own room."""
        require_operator(require_safe_method(request))
        return redirect("admin:assets_cashbackasset_change", object_id)

    @display(description=_("value"), ordering="total_value")  # type: ignore[untyped-decorator]
    def value(self, asset: CashbackAsset) -> str:
        """Return the amount and its currency."""
        return formatting.format_money(asset.total_value, asset.currency)

    @display(description=_("status"), label=LABELS)  # type: ignore[untyped-decorator]
    def status_now(self, asset: CashbackAsset) -> str:
        """Return what is true now."""
        return asset.current_status

    @display(description=_("owner"), ordering="claimed_by__email", empty_value=_("nobody"))  # type: ignore[untyped-decorator]
    def owner(self, asset: CashbackAsset) -> Any:
        """Return the owner, with a link that narrows the list to what is theirs."""
        return formatting.link_to_owner(asset.claimed_by)

    @display(description=_("claimed (UTC)"), ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, asset: CashbackAsset) -> Any:
        """Return when it got its owner."""
        return formatting.format_moment_cell(asset.claimed_at)

    @display(description=_("pool"), ordering="pool__name")  # type: ignore[untyped-decorator]
    def pool_name(self, asset: CashbackAsset) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(asset.pool)
