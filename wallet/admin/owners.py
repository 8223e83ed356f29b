"""The customers page: number and value of credits per owner and currency, with totals."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from accounts.expensive_reads import EXPORT, SEARCH, expensive_read_view
from kernel.file_download import FileTooLarge
from kernel.strict_lists import check_page_number
from wallet.admin import formatting
from wallet.admin.base import require_operator, require_safe_method
from wallet.admin.export import ExportTooLong, Report, take_format
from wallet.assets.models import CreditPool
from wallet.ledger.models import Entry
from wallet.ledger.querysets import EntryQuerySet
from wallet.money import CURRENCIES, format_amount_grouped
from wallet.queries import ownership

PAGE_SIZE = 100
REPORT = Report("owners", ownership.OWNER_COLUMNS, ownership.owner_row)


class OwnersFilter(forms.Form):
    """Filters by email, currency and pool."""

    q = forms.CharField(required=False, max_length=254, label=_("Email"), widget=forms.TextInput(attrs={"type": "search"}))
    currency = forms.ChoiceField(required=False, choices=[("", _("All")), *((code, code) for code in CURRENCIES)])
    pool = forms.ModelChoiceField(CreditPool.objects.order_by("name"), required=False, empty_label=_("All"))

    def claims(self) -> EntryQuerySet:
        """Return the matching claims; none when a value is invalid."""
        if not self.is_valid():
            return Entry.objects.none()
        values = self.cleaned_data
        pool = values.get("pool")
        return ownership.claims_matching(values.get("q", ""), values.get("currency", ""), pool.pk if pool else None)


@expensive_read_view(SEARCH)
def owners_page(request: HttpRequest) -> HttpResponse:
    """Show a page of owners, by currency and highest value first, with the totals of all matching claims."""
    require_operator(require_safe_method(request))
    check_page_number(request)
    form = OwnersFilter(request.GET)
    claims = form.claims()
    page = Paginator(ownership.owners_by_value(claims), PAGE_SIZE).get_page(request.GET.get("p"))
    query = request.GET.copy()
    query.pop("p", None)
    context = {
        **admin.site.each_context(request),
        "title": _("Customers"),
        "form": form,
        "page": page,
        "lines": [owner_line(owner) for owner in page],
        "totals": [readable_line(total) for total in ownership.owners_totals(claims)],
        "query": query.urlencode(),
    }
    return TemplateResponse(request, "admin/owners.html", context, status=200 if form.is_valid() else 400)


def owner_line(owner: dict[str, Any]) -> dict[str, Any]:
    """Return one row of the page."""
    line = readable_line(ownership.owner_row(owner))
    return line | {
        "owner": formatting.link_to_person(owner["owner"]),
        "last_claim": formatting.format_moment_cell(owner["last_claim"]),
    }


def readable_line(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a report with its value grouped for reading."""
    return line | {"value": format_amount_grouped(Decimal(line["value"]), line["currency"])}


@expensive_read_view(EXPORT)
def export_owners(request: HttpRequest, file_format: str) -> HttpResponseBase:
    """Send the filtered owners as a file."""
    require_operator(require_safe_method(request))
    form = OwnersFilter(request.GET)
    if not form.is_valid():
        raise BadRequest(" ".join(str(message) for errors in form.errors.values() for message in errors))
    write = take_format(request, file_format)
    try:
        return write(REPORT, ownership.owners_by_value(form.claims()))
    except (ExportTooLong, FileTooLarge) as refusal:
        messages.error(request, refusal.message)
        return redirect("admin:ledger_claimedasset_owners")
