"""Finance's reports as of a time: a page each, on which all reports are compared with each other, and a CSV file each."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest
from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from accounts.expensive_reads import EXPORT, SEARCH, expensive_read_view
from kernel.file_download import FileTooLarge, csv_file_response
from kernel.replicas import read_alias
from kernel.timestamps import format_second, format_timestamp
from wallet.admin import formatting
from wallet.admin.as_of_form import as_of_form
from wallet.admin.base import require_operator, require_safe_method
from wallet.admin.sidebar import REPORTS
from wallet.queries import csv_export, journal, money_reports
from wallet.queries.as_of import AsOf
from wallet.queries.tie_outs import TieOut, tie_outs

LATEST = 100  # lines of the journal on its page
ABOUT = {
    "trial-balance": _("The balance of every account. Debits and credits of a currency are equal."),
    "liability": _("What is owed to customers, by when the credits end."),
    "breakage": _("Claimed credit that ended unused."),
    "settlement": _("What each service has captured and refunded in all, and the difference, which it is due."),
    "journal": _("Every movement of value between two accounts. The file has all lines; this page, the latest."),
}
TITLES = {
    "currency": _("Currency"),
    "account": _("Account"),
    "debit": _("Debit"),
    "credit": _("Credit"),
    "ends": _("Ends"),
    "available": _("Available"),
    "pending": _("Pending"),
    "held": _("Held"),
    "total": _("Total"),
    "credits": _("Credits"),
    "pool_name": _("Pool"),
    "amount": _("Amount"),
    "service_name": _("Service"),
    "captured": _("Captured"),
    "refunded": _("Refunded"),
    "net": _("Due"),
    "payments": _("Payments"),
    "at": _("When (UTC)"),
    "kind": _("What"),
    "reference": _("Reference"),
    "reason": _("Reason"),
}
VALUES = {
    "pool": _("Pools: credits issued to customers"),
    "wallet": _("Wallets: owed to customers"),
    "hold": _("Holds: owed, set aside for orders"),
    "merchant": _("Merchants: paid with credits"),
    "breakage": _("Breakage: ended unused"),
    "7_days": _("within 7 days"),
    "30_days": _("within 30 days"),
    "90_days": _("within 90 days"),
    "365_days": _("within 365 days"),
    "later": _("later"),
    "never": _("never"),
}
AMOUNTS = {"debit", "credit", "available", "pending", "held", "total", "amount", "captured", "refunded", "net"}


def report_urls() -> list[URLPattern]:
    """Return the URLs of the pages and files."""
    site = admin.site.admin_view
    pages = [path(f"admin/reports/{name}/", site(report_page), {"name": name}, name=f"report_{name}") for name in REPORTS]
    files = [
        path(f"admin/reports/{name}/csv/", site(report_csv), {"name": name}, name=f"report_csv_{name}") for name in REPORTS
    ]
    return [*pages, *files]


@expensive_read_view(SEARCH)
def report_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show a report, and whether all reports of that time agree."""
    require_operator(require_safe_method(request))
    form, as_of = as_of_form(request)
    title = REPORTS[name][0]
    context = {**admin.site.each_context(request), "title": title, "form": form, "about": ABOUT[name]}
    context |= report_context(name, as_of) if as_of else {}
    return TemplateResponse(request, "admin/money_report.html", context, status=200 if as_of else 400)


def report_context(name: str, as_of: AsOf) -> dict[str, Any]:
    """Return a report for the page, the links to the others, and the comparisons."""
    is_journal = name == "journal"
    lines = journal.latest_lines(as_of, LATEST) if is_journal else money_reports.REPORTS[name](as_of)
    columns = [column for column in (lines[0] if lines else ()) if column in TITLES]
    query = urlencode({"as_of": format_timestamp(as_of.at)})
    return {
        "at": format_second(as_of.at),
        "query": query,
        "csv": f"{reverse(f'report_csv_{name}')}?{query}",
        "columns": [(TITLES[column], column_class(column, is_journal)) for column in columns],
        "rows": [[cell(line, column, is_journal) for column in columns] for line in lines],
        "others": [(REPORTS[other][0], f"{reverse(f'report_{other}')}?{query}") for other in REPORTS if other != name],
        **comparison(as_of),
    }


def comparison(as_of: AsOf) -> dict[str, Any]:
    """Return how the reports compare; `ties` is None when that takes longer than a page may."""
    try:
        with transaction.atomic(using=read_alias()):
            ties = tie_outs(as_of)
    except OperationalError:
        return {"ties": None}
    return {"ties": [tie_line(tie) for tie in ties], "agrees": all(tie.agrees for tie in ties)}


def column_class(column: str, is_journal: bool) -> str:
    """Return the class of a column's cells in the page."""
    if column in AMOUNTS and not is_account(column, is_journal):
        return "number"
    return "instant" if column == "at" else ""


def is_account(column: str, is_journal: bool) -> bool:
    """Return whether the column names an account: in the journal debit and credit do, elsewhere they are amounts."""
    return is_journal and column in ("debit", "credit")


def cell(line: dict[str, Any], column: str, is_journal: bool) -> Any:
    """Return a value of a report as the page shows it."""
    value = line[column]
    if value is None:
        return ""
    if column == "at":
        return value[:19].replace("T", " ")
    if column == "kind":
        return value.capitalize()
    if is_account(column, is_journal):
        return value
    if column in AMOUNTS:
        return formatting.format_money(Decimal(value), line["currency"])
    return VALUES.get(value, value) if column in ("account", "ends") else value


def tie_line(tie: TieOut) -> dict[str, Any]:
    """Return a comparison for the page."""
    amounts = {side: formatting.format_money(getattr(tie, side), tie.currency) for side in ("left", "right")}
    return amounts | {"title": tie.title, "currency": tie.currency, "agrees": tie.agrees}


@expensive_read_view(EXPORT)
def report_csv(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send a report as a file."""
    require_operator(require_safe_method(request))
    form, as_of = as_of_form(request)
    if as_of is None:
        raise BadRequest(" ".join(map(str, form.errors["as_of"])))
    chunks: Any = journal.journal_csv(as_of)
    if name != "journal":
        lines = money_reports.csv_lines(name, money_reports.REPORTS[name](as_of))
        chunks = csv_export.csv_chunks(money_reports.COLUMNS[name], lines)
    try:
        return csv_file_response(f"{name}.csv", chunks)
    except FileTooLarge as refusal:
        messages.error(request, refusal.message)
        return redirect(f"report_{name}")
