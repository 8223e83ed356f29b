"""The room of the credits."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from wallet.actions import edit_asset, issue_assets, recreate_asset
from wallet.admin import formatting, import_csv
from wallet.admin.base import is_operator, require_operator
from wallet.admin.bulk_actions import BulkAction, run_bulk_action
from wallet.admin.describing import AssetForm
from wallet.admin.export import Exportable, Report
from wallet.admin.extending import ExtendForm
from wallet.admin.filters import CurrencyFilter, DayFilter, PoolFilter, StatusFilter
from wallet.admin.history import ChangeHistoryMixin
from wallet.admin.search import SearchByIdMixin
from wallet.assets.models import AssetStatus, CashbackAsset
from wallet.ledger.models import Entry
from wallet.queries import change_history, reports

LABELS = {"AVAILABLE": "success", "CLAIMED": "info", "EXPIRED": "warning"}
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
)


EXPIRE = BulkAction(
    edit_asset.expire_asset,
    edit_asset.check_available,
    _("expire"),
    _("expired"),
    _("Nobody can claim them afterwards. This cannot be undone; an expired credit can be recreated."),
)
EXTEND = BulkAction(
    edit_asset.extend_asset,
    edit_asset.check_extendable,
    _("extend"),
    _("extended"),
    _("They can be claimed for longer. No credit's life is cut short by this."),
    ExtendForm,
)
RECREATE = BulkAction(
    recreate_asset.recreate_asset,
    recreate_asset.check_recreatable,
    _("recreate"),
    _("recreated"),
    _("Each expired credit is issued again with its value, and lives as long as the first one was meant to."),
)
DELETE = BulkAction(
    edit_asset.delete_asset,
    edit_asset.check_deletable,
    _("delete"),
    _("deleted"),
    _("Credits that somebody claimed or that were recreated stay. The others are gone; a trace of each is kept."),
)


@admin.register(CashbackAsset)
class AssetAdmin(SearchByIdMixin, ChangeHistoryMixin, Exportable):
    """Credits: issue, change and delete while that is allowed; claimed and expired ones are only looked at."""

    form = AssetForm
    list_display = ("title", "value", "status_now", "pool_name", "ends", "owner", "claimed")
    list_filter = (
        StatusFilter,
        PoolFilter,
        CurrencyFilter,
        ("expires_at", DayFilter),
        ("created_at", DayFilter),
        ("claimed_at", DayFilter),
    )
    search_fields = ("title", "claimed_by__email")
    search_help_text = _("Title, id or owner's email")
    actions = ("expire", "extend", "recreate", "delete_chosen")
    report = Report("credits", reports.CREDIT_COLUMNS, reports.credit_row)
    fieldsets = (
        (None, {"fields": ("title", "total_value", "currency", "pool", "expires_at", "last_day")}),
        (_("History"), {"fields": HISTORY}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("named", *HISTORY)

    def get_urls(self) -> list[Any]:
        """Add the import to the room's addresses."""
        site = self.admin_site.admin_view
        return [
            path("import/", site(import_csv.upload_page), name="assets_cashbackasset_import"),
            path("import/confirm/", site(import_csv.confirm_import), name="assets_cashbackasset_import_confirm"),
            *super().get_urls(),
        ]

    def changes(self, row: Any) -> list[change_history.Change]:
        """Return all that happened to the credit."""
        return change_history.of_asset(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CashbackAsset]:
        """Return all credits with what the list says of each, in one query."""
        related = ("pool", "claimed_by", "created_by", "recreated_from")
        return CashbackAsset.objects.with_current_status().select_related(*related).order_by("-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let operators issue one."""
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let operators change what can still be claimed."""
        return is_operator(request) and (obj is None or obj.current_status == AssetStatus.AVAILABLE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let operators delete what nobody owns."""
        return is_operator(request) and (obj is None or obj.status != AssetStatus.CLAIMED)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what is only looked at as the lists write it."""
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("named", "value", "pool_name", "ends")}), self.fieldsets[1])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Issue or change the credit by the act."""
        if change:
            edit_asset.update_asset(obj.pk, require_operator(request), **form.asked())
        else:
            fields = {"total_value": None, "title": "", "currency": form.cleaned_data["currency"]} | form.asked()
            made = issue_assets.issue_asset(require_operator(request), **fields)
            obj.pk, obj.current_status = made.pk, made.current_status

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the credit by the act, and only then say so in the log."""
        pk = obj.pk
        edit_asset.delete_asset(pk, require_operator(request))
        super().log_deletions(request, [obj])  # type: ignore[arg-type]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Wait: Django would log before it is done."""
        return []

    @admin.action(description=_("Expire chosen credits"))
    def expire(self, request: HttpRequest, chosen: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """End the life of the chosen credits."""
        return run_bulk_action(self, request, chosen, EXPIRE)

    @admin.action(description=_("Extend the expiry of chosen credits"))
    def extend(self, request: HttpRequest, chosen: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Let the chosen credits live longer."""
        return run_bulk_action(self, request, chosen, EXTEND)

    @admin.action(description=_("Recreate chosen expired credits"))
    def recreate(self, request: HttpRequest, chosen: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Issue each of the chosen credits anew."""
        return run_bulk_action(self, request, chosen, RECREATE)

    @admin.action(description=_("Delete chosen credits"))
    def delete_chosen(self, request: HttpRequest, chosen: QuerySet[CashbackAsset]) -> HttpResponse | None:
        """Delete the chosen credits that nobody owns."""
        return run_bulk_action(self, request, chosen, DELETE)

    @display(description=_("id"))  # type: ignore[untyped-decorator]
    def identity(self, asset: CashbackAsset) -> str:
        """Return its id, by which the API, the exports and the lists' search know it."""
        return str(asset.pk)

    @display(description=_("title"))  # type: ignore[untyped-decorator]
    def named(self, asset: CashbackAsset) -> str:
        """Return the title, without the advice to who types one."""
        return asset.title

    @display(description=_("value"), ordering="total_value")  # type: ignore[untyped-decorator]
    def value(self, asset: CashbackAsset) -> str:
        """Return the amount and its currency."""
        return formatting.format_money(asset.total_value, asset.currency)

    @display(description=_("status"), label=LABELS)  # type: ignore[untyped-decorator]
    def status_now(self, asset: CashbackAsset) -> str:
        """Return what is true now."""
        return asset.current_status

    @display(description=_("pool"), ordering="pool__name")  # type: ignore[untyped-decorator]
    def pool_name(self, asset: CashbackAsset) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(asset.pool)

    @display(description=_("expires (UTC)"), ordering="expires_at", empty_value=_("never"))  # type: ignore[untyped-decorator]
    def ends(self, asset: CashbackAsset) -> Any:
        """Return the first instant it can no longer be claimed."""
        return formatting.format_moment_cell(asset.expires_at)

    @display(description=_("claimed (UTC)"), ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, asset: CashbackAsset) -> Any:
        """Return when it got its owner."""
        return formatting.format_moment_cell(asset.claimed_at)

    @display(description=_("entry"))  # type: ignore[untyped-decorator]
    def entry(self, asset: CashbackAsset) -> Any:
        """Return a link to the ledger's entry of its claim, which leads on to the seal."""
        return formatting.link_to(Entry.objects.filter(asset=asset).first())

    @display(description=_("owner"), ordering="claimed_by__email")  # type: ignore[untyped-decorator]
    def owner(self, asset: CashbackAsset) -> Any:
        """Return the owner, with a link to all that they own."""
        return formatting.link_to_owner(asset.claimed_by)

    @display(description=_("issued (UTC)"), ordering="created_at")  # type: ignore[untyped-decorator]
    def created(self, asset: CashbackAsset) -> Any:
        """Return when it was issued."""
        return formatting.format_moment_cell(asset.created_at)

    @display(description=_("issued by"))  # type: ignore[untyped-decorator]
    def issuer(self, asset: CashbackAsset) -> str | None:
        """Return who issued it."""
        return asset.created_by.email if asset.created_by else None

    @display(description=_("recreated from"))  # type: ignore[untyped-decorator]
    def parent(self, asset: CashbackAsset) -> Any:
        """Return a link to the credit that this one was recreated from."""
        return formatting.link_to(asset.recreated_from)

    @display(description=_("recreated as"))  # type: ignore[untyped-decorator]
    def children(self, asset: CashbackAsset) -> Any:
        """Return links to the credits that were recreated from this one."""
        return format_html_join(", ", "{}", ((formatting.link_to(child),) for child in asset.children.order_by("pk")))
