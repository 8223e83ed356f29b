"""Who owns how many credits, and of what value: a line for each user and currency, with totals."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from accounts.expensive_reads import EXPORT, SEARCH, expensive
from wallet import reports
from wallet.admin import cells
from wallet.admin.base import operator, reading
from wallet.admin.exporting import FORMATS, Report, TooLong, as_csv
from wallet.assets.models import CreditPool
from wallet.assets.money import CURRENCIES, grouped
from wallet.downloads import FileTooLarge
from wallet.ledger.querysets import EntryQuerySet

A_PAGE = 100
REPORT = Report("owners", reports.OWNER_COLUMNS, reports.owner_row)


class Narrow(forms.Form):
    """Whose credits, in which currency, from which pool."""

    q = forms.CharField(required=False, max_length=254, label=_("Email"), widget=forms.TextInput(attrs={"type": "search"}))
    currency = forms.ChoiceField(required=False, choices=[("", _("All")), *((code, code) for code in CURRENCIES)])
    pool = forms.ModelChoiceField(CreditPool.objects.order_by("name"), required=False, empty_label=_("All"))

    def claims(self) -> EntryQuerySet:
        """Return the claims that are meant; an answer that is none narrows nothing."""
        self.is_valid()
        given = self.cleaned_data
        pool = given.get("pool")
        return reports.owned(given.get("q", ""), given.get("currency", ""), pool.pk if pool else None)


@expensive(SEARCH)
def owners(request: HttpRequest) -> HttpResponse:
    """Show a page of owners, most valuable first, with the totals of all of them."""
    operator(reading(request))
    form = Narrow(request.GET)
    claims = form.claims()
    page = Paginator(reports.owners(claims), A_PAGE).get_page(request.GET.get("p"))
    query = request.GET.copy()
    query.pop("p", None)
    context = {
        **admin.site.each_context(request),
        "title": _("Owners"),
        "form": form,
        "page": page,
        "lines": [line(owner) for owner in page],
        "totals": [read(total) for total in reports.owners_totals(claims)],
        "query": query.urlencode(),
    }
    return TemplateResponse(request, "admin/owners.html", context)


def line(owner: dict[str, Any]) -> dict[str, Any]:
    """Return one owner as the page writes it."""
    said = read(reports.owner_row(owner))
    return said | {"owner": cells.owned_by(owner["owner"]), "last_claim": cells.moment(owner["last_claim"])}


def read(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a report with its value as people read it."""
    return line | {"value": grouped(Decimal(line["value"]), line["currency"])}


@expensive(EXPORT)
def export(request: HttpRequest, shape: str) -> HttpResponseBase:
    """Send exactly the owners that the address asks for."""
    operator(reading(request))
    try:
        return FORMATS.get(shape, as_csv)(REPORT, reports.owners(Narrow(request.GET).claims()))
    except (TooLong, FileTooLarge) as refusal:
        messages.error(request, refusal.message)
        return redirect("admin:ledger_claimedasset_owners")
