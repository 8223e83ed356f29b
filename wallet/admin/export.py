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

from accounts.expensive_reads import EXPORT, expensive_read_view
from kernel.file_download import FileTooLarge, SpooledFileResponse, csv_file_response, file_response, yield_with_pauses
from wallet.admin.base import OperatorAdmin, require_operator, require_safe_method
from wallet.queries import csv_export

# A workbook is written before its first byte is sent: this many rows take some seconds. CSV has no such end.
MAX_XLSX_ROWS = 50_000
AMOUNTS = ("value", "amount")
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportTooLong(FileTooLarge):
    """The list has more rows than one workbook may have; as CSV it can be exported."""


@dataclass(frozen=True)
class Report:
    """What is exported: the file's name, its columns, and how a row of the list becomes a line keyed by them."""

    name: str
    columns: Sequence[str]
    row: Callable[[Any], dict[str, Any]]

    def lines(self, listed: Any) -> Iterator[list[Any]]:
        """Yield the cells of each row, from a cursor on the server."""
        for row in listed.iterator(chunk_size=csv_export.ROWS_PER_FETCH):
            line = self.row(row)
            yield [line[name] for name in self.columns]


def csv_response(report: Report, listed: Any) -> SpooledFileResponse:
    """Return the list as CSV; raise FileTooLarge."""
    return csv_file_response(f"{report.name}.csv", csv_export.csv_chunks(report.columns, report.lines(listed)))


def xlsx_response(report: Report, listed: Any) -> SpooledFileResponse:
    """Return the list as a workbook; raise TooLong."""
    return file_response(f"{report.name}.xlsx", WORKBOOK, lambda file: write_workbook(file, report, listed))


def write_workbook(file: IO[bytes], report: Report, listed: Any) -> None:
    """Write the list, one row in memory; raise TooLong. Text stays text: it is never read as a formula."""
    with Workbook(file, {"constant_memory": True}) as book:
        sheet, bold = book.add_worksheet(report.name), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(report.columns) - 1, 22)
        for column, name in enumerate(report.columns):
            sheet.write_string(0, column, name, bold)
        number = 0
        for number, cells in enumerate(yield_with_pauses(islice(report.lines(listed), MAX_XLSX_ROWS + 1), 50), start=1):
            for column, cell in enumerate(cells):
                write_cell(sheet, number, column, cell, is_amount=report.columns[column] in AMOUNTS)
    if number > MAX_XLSX_ROWS:
        raise ExportTooLong(
            f"A workbook holds at most {MAX_XLSX_ROWS:,} rows. Narrow the list with filters, or take it as CSV."
        )


def write_cell(sheet: Any, row: int, column: int, cell: Any, is_amount: bool) -> None:
    """Write one cell: amounts and counts as numbers, all else as text, and so is a sum of more digits than a number keeps."""
    if (is_amount or isinstance(cell, int)) and Decimal(repr(float(cell))) == Decimal(cell):
        sheet.write_number(row, column, float(cell))
    elif cell is not None:
        sheet.write_string(row, column, str(cell))


FORMATS: dict[str, Callable[[Report, Any], HttpResponseBase]] = {"csv": csv_response, "xlsx": xlsx_response}


class Exportable(OperatorAdmin):
    """A room whose list can be taken away as a file, filtered, searched and ordered as it is shown."""

    report: Report
    list_before_template: str | None = "admin/export_links.html"

    def get_urls(self) -> list[Any]:
        """Add the export to the room's addresses."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<str:shape>/", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]

    @method_decorator(expensive_read_view(EXPORT))
    def export(self, request: HttpRequest, shape: str) -> HttpResponseBase:
        """Send the list that the address filters; an address that filters by nonsense leads back to the list."""
        require_operator(require_safe_method(request))
        back = redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        try:
            return FORMATS.get(shape, csv_response)(self.report, self.get_changelist_instance(request).get_queryset(request))
        except IncorrectLookupParameters:
            return back
        except (ExportTooLong, FileTooLarge) as refusal:
            messages.error(request, refusal.message)
            return back
