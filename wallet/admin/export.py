"""Export of a filtered list as CSV or XLSX. No cell is a formula."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import IO, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from xlsxwriter import Workbook

from accounts.expensive_reads import EXPORT, expensive_read_view
from kernel.file_download import FileTooLarge, SpooledFileResponse, csv_file_response, file_response, yield_with_pauses
from wallet.admin.base import OperatorAdmin, refused_filters, require_operator, require_safe_method
from wallet.admin.export_rows import PAYMENT_FIGURES
from wallet.queries import csv_export

# A workbook is complete before its first byte is sent, and this many rows take seconds. CSV has no such limit.
MAX_XLSX_ROWS = 50_000
AMOUNT_COLUMNS = ("value", *PAYMENT_FIGURES)
XLSX_CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportTooLong(FileTooLarge):
    """The list has more rows than one workbook may have; as CSV it can be exported."""


@dataclass(frozen=True)
class Report:
    """An export: the file's name, its columns, and the function that maps a row of the list to these columns."""

    name: str
    columns: Sequence[str]
    row: Callable[[Any], dict[str, Any]]

    def lines(self, listed: Any) -> Iterator[list[Any]]:
        """Yield the cells of each row, read with a server-side cursor."""
        for row in listed.iterator(chunk_size=csv_export.ROWS_PER_FETCH):
            line = self.row(row)
            yield [line[name] for name in self.columns]


def csv_response(report: Report, listed: Any) -> SpooledFileResponse:
    """Return the list as CSV; raise FileTooLarge."""
    return csv_file_response(f"{report.name}.csv", csv_export.csv_chunks(report.columns, report.lines(listed)))


def csv_response_with_mark(report: Report, listed: Any) -> SpooledFileResponse:
    """Return the list as CSV with a byte order mark; raise FileTooLarge."""
    chunks = csv_export.csv_chunks(report.columns, report.lines(listed))
    return csv_file_response(f"{report.name}.csv", csv_export.with_byte_order_mark(chunks))


def xlsx_response(report: Report, listed: Any) -> SpooledFileResponse:
    """Return the list as a workbook; raise ExportTooLong before any row is written."""
    if listed.order_by()[: MAX_XLSX_ROWS + 1].count() > MAX_XLSX_ROWS:
        raise ExportTooLong(too_long())
    return file_response(f"{report.name}.xlsx", XLSX_CONTENT_TYPE, lambda file: write_workbook(file, report, listed))


def write_workbook(file: IO[bytes], report: Report, listed: Any) -> None:
    """Write the list with one row in memory; raise ExportTooLong. Text is never read as a formula."""
    with Workbook(file, {"constant_memory": True}) as book:
        sheet, bold = book.add_worksheet(report.name), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(report.columns) - 1, 22)
        for column, name in enumerate(report.columns):
            sheet.write_string(0, column, name, bold)
        number = 0
        for number, cells in enumerate(yield_with_pauses(islice(report.lines(listed), MAX_XLSX_ROWS + 1), 50), start=1):
            for column, cell in enumerate(cells):
                write_cell(sheet, number, column, cell, is_amount=report.columns[column] in AMOUNT_COLUMNS)
    if number > MAX_XLSX_ROWS:
        raise ExportTooLong(too_long())  # rows were added since they were counted


def too_long() -> str:
    """Return the sentence about a list that does not fit."""
    return f"An Excel file holds at most {MAX_XLSX_ROWS:,} rows. Filter the list, or export it as CSV."


def write_cell(sheet: Any, row: int, column: int, cell: Any, is_amount: bool) -> None:
    """Write one cell: amounts and counts as numbers unless a float would lose digits, everything else as text."""
    if (is_amount or isinstance(cell, int)) and Decimal(repr(float(cell))) == Decimal(cell):
        sheet.write_number(row, column, float(cell))
    elif cell is not None:
        sheet.write_string(row, column, str(cell))


FORMATS: dict[str, Callable[[Report, Any], HttpResponseBase]] = {"csv": csv_response, "xlsx": xlsx_response}


def take_format(request: HttpRequest, file_format: str) -> Callable[[Report, Any], HttpResponseBase]:
    """Return the function that writes the file; remove its option `bom` (byte order mark) from the list's parameters."""
    parameters = request.GET.copy()
    with_mark = parameters.pop("bom", [""])[-1] == "1"
    request.GET = parameters  # type: ignore[assignment]
    write = FORMATS.get(file_format, csv_response)
    return csv_response_with_mark if with_mark and write is csv_response else write


class ExportMixin(OperatorAdmin):
    """Adds the export of the list, filtered, searched and ordered as shown."""

    report: Report
    list_before_template: str | None = "admin/export_links.html"

    def get_urls(self) -> list[Any]:
        """Add the URL of the export."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<str:file_format>/", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]

    @method_decorator(expensive_read_view(EXPORT))
    def export(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send the filtered list as a file; 400 when a filter cannot be read."""
        require_operator(require_safe_method(request))
        to_list = redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        write = take_format(request, file_format)
        try:
            listed = self.get_changelist_instance(request).get_queryset(request)
            if refused := refused_filters(request):
                raise BadRequest(refused)
            return write(self.report, listed)
        except IncorrectLookupParameters as error:
            raise BadRequest(_("This list has no such filter, or its value cannot be read.")) from error
        except (ExportTooLong, FileTooLarge) as refusal:
            messages.error(request, refusal.message)
            return to_list
