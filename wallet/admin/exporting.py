"""Exactly the list that the address filters, as CSV or as an XLSX workbook; no cell is a formula."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import IO, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from xlsxwriter import Workbook

from accounts.expensive_reads import EXPORT, expensive
from accounts.refusals import Refusal
from wallet import reports
from wallet.admin.base import OperatorAdmin, operator, reading
from wallet.downloads import Download, FileTooLarge, download, paced, text_file

# A workbook is written before its first byte is sent: this many rows take some seconds. CSV has no such end.
MOST_ROWS = 50_000
AMOUNTS = ("value", "amount")
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TooLong(Refusal):
    """A list that no workbook of ours holds."""

    code = "too_many_rows"
    detail = f"A workbook holds at most {MOST_ROWS:,} rows: narrow the list by its filters, or take it as CSV."


@dataclass(frozen=True)
class Report:
    """What is exported: the file's name, its columns, and how a row of the list becomes a line keyed by them."""

    name: str
    columns: Sequence[str]
    row: Callable[[Any], dict[str, Any]]

    def lines(self, listed: Any) -> Iterator[list[Any]]:
        """Yield the cells of each row, from a cursor on the server."""
        for row in listed.iterator(chunk_size=reports.ROWS_AT_ONCE):
            line = self.row(row)
            yield [line[name] for name in self.columns]


def as_csv(report: Report, listed: Any) -> Download:
    """Return the list as CSV; raise FileTooLarge."""
    return text_file(f"{report.name}.csv", reports.as_csv(report.columns, report.lines(listed)))


def as_xlsx(report: Report, listed: Any) -> Download:
    """Return the list as a workbook; raise TooLong."""
    return download(f"{report.name}.xlsx", WORKBOOK, lambda file: write_workbook(file, report, listed))


def write_workbook(file: IO[bytes], report: Report, listed: Any) -> None:
    """Write the list, one row in memory; raise TooLong. Text stays text: it is never read as a formula."""
    with Workbook(file, {"constant_memory": True}) as book:
        sheet, bold = book.add_worksheet(report.name), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(report.columns) - 1, 22)
        for column, name in enumerate(report.columns):
            sheet.write_string(0, column, name, bold)
        number = 0
        for number, cells in enumerate(paced(islice(report.lines(listed), MOST_ROWS + 1), 50), start=1):
            for column, cell in enumerate(cells):
                put(sheet, number, column, cell, is_amount=report.columns[column] in AMOUNTS)
    if number > MOST_ROWS:
        raise TooLong


def put(sheet: Any, row: int, column: int, cell: Any, is_amount: bool) -> None:
    """Write one cell: amounts and counts as numbers, all else as text, and so is a sum of more digits than a number keeps."""
    if (is_amount or isinstance(cell, int)) and Decimal(repr(float(cell))) == Decimal(cell):
        sheet.write_number(row, column, float(cell))
    elif cell is not None:
        sheet.write_string(row, column, str(cell))


FORMATS: dict[str, Callable[[Report, Any], HttpResponseBase]] = {"csv": as_csv, "xlsx": as_xlsx}


class Exportable(OperatorAdmin):
    """A room whose list can be taken away as a file, filtered, searched and ordered as it is shown."""

    report: Report
    list_before_template: str | None = "admin/export_links.html"

    def get_urls(self) -> list[Any]:
        """Add the export to the room's addresses."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<str:shape>/", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]

    @method_decorator(expensive(EXPORT))
    def export(self, request: HttpRequest, shape: str) -> HttpResponseBase:
        """Send the list that the address filters; an address that filters by nonsense leads back to the list."""
        operator(reading(request))
        back = redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        try:
            return FORMATS.get(shape, as_csv)(self.report, self.get_changelist_instance(request).get_queryset(request))
        except IncorrectLookupParameters:
            return back
        except (TooLong, FileTooLarge) as refusal:
            messages.error(request, refusal.message)
            return back
