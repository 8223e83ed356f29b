"""The section of the batches: what was issued together, what became of it, and changes of all its credits."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from kernel.timestamps import format_timestamp
from wallet.admin import formatting
from wallet.admin.base import ReadOnlyAdmin, require_operator, require_safe_method
from wallet.admin.bulk_jobs import BulkJobMixin, bulk_context
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import BatchPoolFilter, DayFilter, IssueChannelFilter, channel_label
from wallet.admin.search import SearchByIdMixin
from wallet.assets.batches import Batch
from wallet.money import format_amount
from wallet.queries import batches

COLUMNS = ("batch", "created_at", "title", "count", "values", "file", "sha256", "issued_by", "channel")


def batch_row(batch: Batch) -> dict[str, Any]:
    """Return the exported row of a batch."""
    values = [f"{format_amount(Decimal(line['v']), line['currency'])} {line['currency']}" for line in batch.totals]
    return {
        "batch": batch.pk,
        "created_at": format_timestamp(batch.created_at),
        "title": batch.title,
        "count": sum(line["n"] for line in batch.totals),
        "values": ", ".join(values),
        "file": batch.file_name,
        "sha256": batch.file_digest,
        "issued_by": batch.created_by.email if batch.created_by else None,
        "channel": batch.channel,
    }


@admin.register(Batch)
class BatchAdmin(SearchByIdMixin, BulkJobMixin, ExportMixin, ReadOnlyAdmin):
    """Batches, newest first."""

    list_display = ("name", "at", "count", "values", "file_name", "who", "source")
    list_display_links = ("name",)
    list_filter = (BatchPoolFilter, IssueChannelFilter, ("created_at", DayFilter))
    search_fields = ("title", "file_name", "file_digest", "created_by__email")
    search_help_text = _("Title, file, operator's email or id")
    ordering = ("-id",)
    report = Report("batches", COLUMNS, batch_row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        """Return all batches with their totals."""
        return Batch.objects.with_totals().select_related("created_by").order_by("-id")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show what became of a batch, its jobs, and what can be done to its credits."""
        require_operator(require_safe_method(request))
        if object_id is None:
            raise PermissionDenied
        batch: Any = self.get_object(request, object_id)
        if batch is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        credits = reverse("admin:assets_cashbackasset_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": str(batch),
            "heading": _("Batch"),
            "opts": self.opts,
            "row": batch_row(batch),
            "source": channel_label(batch.channel),
            "at": formatting.format_moment_cell(batch.created_at),
            "lines": [supply_line(line) for line in batches.batch_supply(batch)],
            "credits": f"{credits}?batch={batch.pk}",
            **bulk_context(batch),
        }
        return TemplateResponse(request, "admin/batch.html", context)

    @display(description=_("title"), ordering="title")  # type: ignore[untyped-decorator]
    def name(self, batch: Batch) -> str:
        """Return the title; the id of a batch without one."""
        return str(batch)

    @display(description=_("when (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def at(self, batch: Batch) -> Any:
        """Return the time of issue."""
        return formatting.format_moment_cell(batch.created_at)

    @display(description=_("count"))  # type: ignore[untyped-decorator]
    def count(self, batch: Batch) -> str:
        """Return the number of credits issued."""
        return f"{sum(line['n'] for line in batch.totals):,}"

    @display(description=_("value"))  # type: ignore[untyped-decorator]
    def values(self, batch: Batch) -> Any:
        """Return the total value per currency."""
        totals = ((formatting.format_money(Decimal(line["v"]), line["currency"]),) for line in batch.totals)
        return format_html_join(", ", "{}", totals)

    @display(description=_("who"), ordering="created_by__email")  # type: ignore[untyped-decorator]
    def who(self, batch: Batch) -> str | None:
        """Return the operator's email."""
        return batch.created_by.email if batch.created_by else None

    @display(description=_("source"), ordering="channel")  # type: ignore[untyped-decorator]
    def source(self, batch: Batch) -> str | None:
        """Return the name of the channel."""
        return channel_label(batch.channel)


def supply_line(line: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one currency for the page."""
    issued = line["issued"][0] or 1
    figures = [(state, *line[state]) for state in ("issued", *batches.STATES)]
    return {
        "currency": line["currency"],
        "figures": [
            {"state": STATE_NAMES[state], "count": f"{count:,}", "value": formatting.format_money(value, line["currency"])}
            for state, count, value in figures
        ],
        "claimed_percent": line["claimed"][0] * 100 // issued,
    }


STATE_NAMES = {
    "issued": _("Issued"),
    "scheduled": _("Scheduled"),
    "available": _("Available"),
    "claimed": _("Claimed"),
    "expired": _("Expired unclaimed"),
    "deleted": _("Deleted"),
}
