"""The section of the credits: list, issue, change, delete and bulk actions."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from kernel.timestamps import format_minute
from kernel.versions import require_version, version_of
from wallet.actions import edit_asset, issue_assets
from wallet.admin import formatting, import_csv
from wallet.admin.asset_actions import DELETE, EXPIRE, EXTEND, RECREATE
from wallet.admin.asset_forms import AssetForm
from wallet.admin.base import is_operator, require_operator
from wallet.admin.bulk_actions import SHOWN, run_bulk_action
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import BatchFilter, CurrencyFilter, DayFilter, PoolFilter, StatusFilter
from wallet.admin.history import ChangeHistoryMixin
from wallet.admin.import_pools import template_file
from wallet.admin.search import SearchByIdMixin
from wallet.assets.models import AssetStatus, CashbackAsset
from wallet.ledger.models import Entry
from wallet.queries import change_history, reports

LABELS = {
    AssetStatus.SCHEDULED.label: "info",
    AssetStatus.AVAILABLE.label: "success",
    AssetStatus.CLAIMED.label: "info",
    AssetStatus.EXPIRED.label: "warning",
}
HISTORY = (
    "identity",
    "status_now",
    "owner",
    "claimed",
    "entry",
    "parent",
    "children",
    "generation",
    "created",
    "issuer",
    "issue_batch",
)


def format_end(asset: CashbackAsset) -> str:
    """Return when the credit expires, for the question whether to delete it."""
    if asset.expires_at is None:
        return str(_("no expiry"))
    return _("expires on %(end)s UTC") % {"end": format_minute(asset.expires_at)}


@admin.register(CashbackAsset)
class AssetAdmin(SearchByIdMixin, ChangeHistoryMixin, ExportMixin):
    """Credits: issue, change and delete while that is allowed; claimed and expired ones are read-only."""

    form = AssetForm
    list_display = ("title", "value", "status_now", "pool_name", "expires", "owner", "claimed")
    list_filter = (
        StatusFilter,
        PoolFilter,
        BatchFilter,
        CurrencyFilter,
        ("expires_at", DayFilter),
        ("created_at", DayFilter),
        ("claimed_at", DayFilter),
    )
    search_fields = ("title", "claimed_by__email")
    search_help_text = _("Title, ID or owner's email")
    actions = ("expire", "extend", "recreate", "delete_chosen")
    report = Report("credits", reports.CREDIT_COLUMNS, reports.credit_row)
    fieldsets = (
        (None, {"fields": ("title", "total_value", "currency", "pool", "expires_at", "last_day")}),
        (_("History"), {"fields": HISTORY}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("read_only_title", *HISTORY)

    def get_urls(self) -> list[Any]:
        """Add the URLs of the import."""
        site = self.admin_site.admin_view
        return [
            path("import/", site(import_csv.upload_page), name="assets_cashbackasset_import"),
            path("import/pools/", site(import_csv.create_pools_page), name="assets_cashbackasset_import_pools"),
            path("import/template/<str:file_format>/", site(template_file), name="assets_cashbackasset_import_template"),
            path("import/confirm/", site(import_csv.confirm_import), name="assets_cashbackasset_import_confirm"),
            *super().get_urls(),
        ]

    def changes(self, row: Any) -> list[change_history.Change]:
        """Return the change history of the credit."""
        return change_history.of_asset(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CashbackAsset]:
        """Return all credits with the related rows that the list shows, in one query."""
        related = ("pool", "claimed_by", "created_by", "recreated_from")
        return CashbackAsset.objects.with_current_status().select_related(*related).order_by("-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow operators to change AVAILABLE credits. A form that is sent is always tried: the action says why not."""
        is_tried = obj is None or request.POST or obj.current_status == AssetStatus.AVAILABLE
        return is_operator(request) and bool(is_tried)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow operators to delete unclaimed credits. A confirmed deletion is always tried, as a change is."""
        return is_operator(request) and (obj is None or "post" in request.POST or obj.status != AssetStatus.CLAIMED)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show read-only credits in the format of the list."""
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("read_only_title", "value", "pool_name", "expires")}), self.fieldsets[1])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Issue or change the credit through the action."""
        if change:
            edit_asset.update_asset(obj.pk, require_operator(request), form.require_unchanged, **form.changed_values())
        else:
            fields = {"total_value": None, "title": "", "currency": form.cleaned_data["currency"]} | form.changed_values()
            issued = issue_assets.issue_asset(require_operator(request), **fields)
            obj.pk, obj.current_status = issued.pk, issued.current_status

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Confirm, then delete. The confirmation carries the version of the credit that it shows."""
        asset = self.get_object(request, object_id)
        shown = {"shown": version_of(asset, SHOWN)} if asset else {}
        return super().delete_view(request, object_id, {**(extra_context or {}), **shown})

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the credit through the action, and log the deletion afterwards."""
        pk, shown = obj.pk, request.POST.get("shown")
        conditions = [require_version(shown, SHOWN)] if shown else []
        edit_asset.delete_asset(pk, require_operator(request), *conditions)
        super().log_deletions(request, [obj])  # type: ignore[arg-type]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[Any], list[Any]]:
        """Return what a deletion would delete. A confirmed one is always tried: the action says why not."""
        deleted: Any
        deleted, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        deleted += [[f"{self.value(asset)} · {format_end(asset)}" for asset in objs]]
        return (deleted, counts, set(), []) if "post" in request.POST else (deleted, counts, forbidden, protected)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Log nothing: Django would log before the deletion."""
        return []

    @admin.action(description=_("Expire selected credits"))
    def expire(self, request: HttpRequest, selected: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Expire the selected credits."""
        return run_bulk_action(self, request, selected, EXPIRE)

    @admin.action(description=_("Extend the expiry of selected credits"))
    def extend(self, request: HttpRequest, selected: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Extend the expiry of the selected credits."""
        return run_bulk_action(self, request, selected, EXTEND)

    @admin.action(description=_("Recreate selected expired credits"))
    def recreate(self, request: HttpRequest, selected: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Recreate the selected expired credits."""
        return run_bulk_action(self, request, selected, RECREATE)

    @admin.action(description=_("Delete selected credits"))
    def delete_chosen(self, request: HttpRequest, selected: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Delete the selected unclaimed credits."""
        return run_bulk_action(self, request, selected, DELETE)

    @display(description=_("ID"))  # type: ignore[untyped-decorator]
    def identity(self, asset: CashbackAsset) -> str:
        """Return the id, as used by the API, the exports and the search."""
        return str(asset.pk)

    @display(description=_("title"))  # type: ignore[untyped-decorator]
    def read_only_title(self, asset: CashbackAsset) -> str:
        """Return the title, without the help text of the form field."""
        return asset.title

    @display(description=_("value"), ordering="total_value")  # type: ignore[untyped-decorator]
    def value(self, asset: CashbackAsset) -> str:
        """Return the amount and its currency."""
        return formatting.format_money(asset.total_value, asset.currency)

    @display(description=_("status"), label=LABELS)  # type: ignore[untyped-decorator]
    def status_now(self, asset: CashbackAsset) -> str:
        """Return the current status."""
        return AssetStatus(asset.current_status).label

    @display(description=_("pool"), ordering="pool__name")  # type: ignore[untyped-decorator]
    def pool_name(self, asset: CashbackAsset) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(asset.pool)

    @display(description=_("expires (UTC)"), ordering="expires_at", empty_value=_("never"))  # type: ignore[untyped-decorator]
    def expires(self, asset: CashbackAsset) -> Any:
        """Return the expiry time."""
        return formatting.format_moment_cell(asset.expires_at)

    @display(description=_("claimed (UTC)"), ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, asset: CashbackAsset) -> Any:
        """Return the time of the claim."""
        return formatting.format_moment_cell(asset.claimed_at)

    @display(description=_("entry"))  # type: ignore[untyped-decorator]
    def entry(self, asset: CashbackAsset) -> Any:
        """Return a link to the ledger entry of its claim."""
        return formatting.link_to(Entry.objects.filter(asset=asset).first())

    @display(description=_("owner"), ordering="claimed_by__email")  # type: ignore[untyped-decorator]
    def owner(self, asset: CashbackAsset) -> Any:
        """Return the owner, with a link to all their credits."""
        return formatting.link_to_owner(asset.claimed_by)

    @display(description=_("issued (UTC)"), ordering="created_at")  # type: ignore[untyped-decorator]
    def created(self, asset: CashbackAsset) -> Any:
        """Return the time of issue."""
        return formatting.format_moment_cell(asset.created_at)

    @display(description=_("issued by"))  # type: ignore[untyped-decorator]
    def issuer(self, asset: CashbackAsset) -> str | None:
        """Return the email of the issuer."""
        return asset.created_by.email if asset.created_by else None

    @display(description=_("batch"))  # type: ignore[untyped-decorator]
    def issue_batch(self, asset: CashbackAsset) -> Any:
        """Return a link to the batch that the credit was issued in."""
        return formatting.link_to(asset.batch)

    @display(description=_("recreated from"))  # type: ignore[untyped-decorator]
    def parent(self, asset: CashbackAsset) -> Any:
        """Return a link to the credit that this one was recreated from."""
        return formatting.link_to(asset.recreated_from)

    @display(description=_("recreated as"))  # type: ignore[untyped-decorator]
    def children(self, asset: CashbackAsset) -> Any:
        """Return links to the credits that were recreated from this one."""
        return format_html_join(", ", "{}", ((formatting.link_to(child),) for child in asset.children.order_by("pk")))
