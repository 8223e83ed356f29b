"""The change history in the console: of one pool or credit on its History page, and of all credits as a list. Read-only."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from kernel.timestamps import format_second
from wallet.admin import formatting
from wallet.admin.base import OperatorAdmin, ReadOnlyAdmin, require_operator, require_safe_method
from wallet.admin.export import ExportMixin, Report
from wallet.admin.export_rows import CHANGE_COLUMNS, ISSUE_COLUMNS, change_line, context_value, issue_line
from wallet.admin.filters import (
    ActionFilter,
    ChannelFilter,
    CurrencyFilter,
    DayFilter,
    IssueChannelFilter,
    PoolFilter,
    channel_label,
)
from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.queries import change_history

# The labels of the forms.
FIELD_LABELS = {
    "per_user_limit": _("Limit per user"),
    "budget": _("Budget"),
    "credit_title": _("Title of its credits"),
    "credit_value": _("Value of each"),
    "credit_lifetime": _("Claimable for"),
    "period_limit": _("Limit per period"),
    "limit_period": _("Period"),
    "opens_at": _("Opens"),
    "closes_at": _("Closes"),
    "is_active": _("Active"),
    "grants_only": _("Grants only"),
    "time_zone": _("Time zone"),
    "total_value": _("Value"),
    "pool_id": _("Pool"),
    "expires_at": _("Expires"),
    "archived_at": _("Archived"),
    "draw_priority": _("Spending order"),
    "ends_with_day": _("Ends with the day"),
    "service_id": _("Only at this service"),
    "refund_grace_days": _("Refund grace (days)"),
    "clawback_reach": _("Clawback takes from"),
}
AssetEvent: Any = CashbackAsset.pgh_event_model  # type: ignore[attr-defined]


class ChangeHistoryMixin(OperatorAdmin):
    """A section whose rows have a change history, recorded by PostgreSQL for every channel."""

    def changes(self, row: Any) -> list[change_history.Change]:
        """Return the changes of the row, newest first."""
        raise NotImplementedError

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show each change: when, by whom, through which channel, and the values before and after."""
        require_operator(require_safe_method(request))
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "title": _("History of %(row)s") % {"row": row},
            "heading": _("History"),
            "opts": self.opts,
            "row": row,
            "lines": [change_line_html(change) for change in self.changes(row)],
            "most": change_history.MOST,
        }
        return TemplateResponse(request, "admin/trail.html", context)


def change_line_html(change: change_history.Change) -> dict[str, Any]:
    """Return one change for the template."""
    names = dict(CreditPool.objects.values_list("pk", "name")) if any(name == "pool_id" for name, *_ in change.fields) else {}
    fields = [
        {
            "name": name.removesuffix("_id").replace("_", " "),
            "label": FIELD_LABELS.get(name) or capfirst(name),
            "before": format_value(names.get(was, was)),
            "after": format_value(names.get(now, now)),
        }
        for name, was, now in change.fields
    ]
    return {
        "change": change,
        "channel": channel_label(change.channel),
        "at": formatting.format_moment_cell(change.at),
        "fields": fields,
        "link": formatting.link_to(change.row),
    }


def format_value(value: Any) -> str:
    """Return a field's value as text."""
    if value is change_history.UNKNOWN:
        return str(_("not recorded"))
    if isinstance(value, datetime):
        return f"{format_second(value)} UTC"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    return str(_("none")) if value is None else str(value)


@admin.register(AssetEvent)
class ChangeAdmin(ExportMixin, ReadOnlyAdmin):
    """Every change, expiry and deletion of a credit, newest first; a claim is in the ledger."""

    list_display = ("at", "action", "who", "channel", "credit", "value", "status", "pool")
    list_display_links = None
    list_filter = (ActionFilter, ChannelFilter, PoolFilter, CurrencyFilter, ("pgh_created_at", DayFilter))
    list_select_related = ("pgh_context", "pool")
    search_fields = ("title", "pgh_context__metadata__email")
    search_help_text = _("Credit's title or operator's email")
    ordering = ("-pgh_id",)
    report = Report("changes", CHANGE_COLUMNS, change_line)

    @display(description=_("when (UTC)"), ordering="pgh_id")  # type: ignore[untyped-decorator]
    def at(self, event: Any) -> Any:
        """Return the time of the change."""
        return formatting.format_moment_cell(event.pgh_created_at)

    @display(description=_("action"))  # type: ignore[untyped-decorator]
    def action(self, event: Any) -> str:
        """Return the action; the SQL command for a change by raw SQL."""
        return capfirst(context_value(event, "action") or event.pgh_label)

    @display(description=_("who"))  # type: ignore[untyped-decorator]
    def who(self, event: Any) -> str | None:
        """Return the operator's email; None for the scheduler."""
        return context_value(event, "email")

    @display(description=_("source"))  # type: ignore[untyped-decorator]
    def channel(self, event: Any) -> str | None:
        """Return the name of the channel."""
        return channel_label(context_value(event, "channel"))

    @display(description=_("credit"), ordering="title")  # type: ignore[untyped-decorator]
    def credit(self, event: Any) -> Any:
        """Return a link to the credit's history; only its title if the credit was deleted."""
        return event.title if event.pgh_label == "delete" else formatting.link_to_history(event.pgh_obj_id, event.title)

    @display(description=_("value"), ordering="total_value")  # type: ignore[untyped-decorator]
    def value(self, event: Any) -> str:
        """Return the value after the change."""
        return formatting.format_money(event.total_value, event.currency)


@admin.register(Issuance)
class IssuanceAdmin(ExportMixin, ReadOnlyAdmin):
    """The issue log: what was issued, by whom and through which channel, one row per statement."""

    list_display = ("at", "count", "value_of_all", "pool_name", "batch_title", "who", "source")
    list_display_links = None
    list_filter = (PoolFilter, CurrencyFilter, IssueChannelFilter, ("issued_at", DayFilter))
    list_select_related = ("pool", "batch", "created_by")
    search_fields = ("created_by__email", "pool__name")
    search_help_text = _("Operator's email or the pool's name")
    ordering = ("-id",)
    report = Report("issued", ISSUE_COLUMNS, issue_line)

    @display(description=_("when (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def at(self, issuance: Issuance) -> Any:
        """Return the time of issue."""
        return formatting.format_moment_cell(issuance.issued_at)

    @display(description=_("value"), ordering="value")  # type: ignore[untyped-decorator]
    def value_of_all(self, issuance: Issuance) -> str:
        """Return the total value."""
        return formatting.format_money(issuance.value, issuance.currency)

    @display(description=_("pool"), ordering="pool__name")  # type: ignore[untyped-decorator]
    def pool_name(self, issuance: Issuance) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(issuance.pool)

    @display(description=_("batch"), ordering="batch")  # type: ignore[untyped-decorator]
    def batch_title(self, issuance: Issuance) -> Any:
        """Return a link to the batch."""
        return formatting.link_to(issuance.batch)

    @display(description=_("who"), ordering="created_by__email")  # type: ignore[untyped-decorator]
    def who(self, issuance: Issuance) -> str | None:
        """Return the email of the operator who issued them."""
        return issuance.created_by.email if issuance.created_by else None

    @display(description=_("source"), ordering="channel")  # type: ignore[untyped-decorator]
    def source(self, issuance: Issuance) -> str | None:
        """Return the name of the channel."""
        return channel_label(issuance.channel)
