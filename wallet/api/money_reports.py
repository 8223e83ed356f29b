"""/reports/: trial balance, liability, breakage, settlement and journal as of a time, for operators, as JSON or CSV."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.core.signing import BadSignature, Signer
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from accounts.expensive_reads import EXPORT, SEARCH, ExpensiveRead
from accounts.permissions import IsAdmin
from kernel.file_download import FileTooLarge, csv_file_response
from kernel.openapi import operation
from kernel.slots import ReadsBusy
from kernel.timestamps import format_timestamp
from wallet.api.money_report_shapes import (
    AsOfQuery,
    BreakageSerializer,
    JournalQuery,
    JournalSerializer,
    LiabilitySerializer,
    SettlementSerializer,
    TrialBalanceSerializer,
)
from wallet.api.reports import CsvRenderer
from wallet.api.viewsets import BaseViewSet
from wallet.delivery.cursors import InvalidCursor
from wallet.queries import csv_export, money_reports
from wallet.queries.as_of import settled
from wallet.queries.journal import START, Place, journal_csv, journal_page

Method = TypeVar("Method", bound=Callable[..., Any])
CURSORS = Signer(salt="journal")


class MoneyReportViewSet(BaseViewSet):
    """A report as of a time."""

    permissions: ClassVar = {"list": IsAdmin}
    renderer_classes = [*BaseViewSet.renderer_classes, CsvRenderer]
    pagination_class = None
    filter_backends = ()
    queries: ClassVar[dict[str, Any]] = {"list": AsOfQuery}

    def expensive_read(self) -> ExpensiveRead | None:
        """Return EXPORT for CSV, and SEARCH for JSON."""
        if self.action != "list":
            return None
        return EXPORT if self.request.accepted_renderer.format == "csv" else SEARCH

    def csv(self, request: Request, name: str, chunks: Any) -> HttpResponseBase:
        """Return the file; raise FileTooLarge."""
        with_mark = request.query_params.get("bom") == "1"
        return csv_file_response(f"{name}.csv", csv_export.with_byte_order_mark(chunks) if with_mark else chunks)

    def answer(self, request: Request, name: str) -> HttpResponseBase:
        """Return a report as JSON or CSV."""
        as_of = settled(self.validated_query().get("as_of"))
        lines = money_reports.REPORTS[name](as_of)
        if request.accepted_renderer.format == "csv":
            cells = money_reports.csv_lines(name, lines)
            return self.csv(request, name, csv_export.csv_chunks(money_reports.COLUMNS[name], cells))
        return self.respond_with({"as_of": format_timestamp(as_of.at), "lines": lines})


def report(summary: str, name: str, serializer: Any, query: type[AsOfQuery] = AsOfQuery) -> Callable[[Method], Method]:
    """Return a decorator that describes a report to OpenAPI."""
    responses = {(200, "application/json"): serializer, (200, "text/csv"): OpenApiTypes.STR}
    errors = (PermissionDenied, FileTooLarge, ReadsBusy)
    identity = f"reports_{name.replace('-', '_')}_retrieve"
    describe: Callable[[Method], Method] = operation(
        summary, *errors, operation_id=identity, parameters=[query], responses=responses
    )
    return describe


class TrialBalanceViewSet(MoneyReportViewSet):
    """The trial balance."""

    serializer_class = TrialBalanceSerializer

    @report("Report the trial balance", "trial-balance", TrialBalanceSerializer)
    def list(self, request: Request) -> HttpResponseBase:
        """Return the balance of each account per currency, as JSON or with `format=csv` as a file."""
        return self.answer(request, "trial-balance")


class LiabilityViewSet(MoneyReportViewSet):
    """The liability."""

    serializer_class = LiabilitySerializer

    @report("Report the liability", "liability", LiabilitySerializer)
    def list(self, request: Request) -> HttpResponseBase:
        """Return what is owed to customers by when it ends, as JSON or with `format=csv` as a file."""
        return self.answer(request, "liability")


class BreakageViewSet(MoneyReportViewSet):
    """The breakage."""

    serializer_class = BreakageSerializer

    @report("Report the breakage", "breakage", BreakageSerializer)
    def list(self, request: Request) -> HttpResponseBase:
        """Return what lapsed of claimed credits per pool, as JSON or with `format=csv` as a file."""
        return self.answer(request, "breakage")


class SettlementViewSet(MoneyReportViewSet):
    """The settlement."""

    serializer_class = SettlementSerializer

    @report("Report the settlement", "settlement", SettlementSerializer)
    def list(self, request: Request) -> HttpResponseBase:
        """Return what each service is due, as JSON or with `format=csv` as a file."""
        return self.answer(request, "settlement")


class JournalViewSet(MoneyReportViewSet):
    """The journal."""

    serializer_class = JournalSerializer
    queries: ClassVar = {"list": JournalQuery}

    @report("List the journal", "journal", JournalSerializer, JournalQuery)
    def list(self, request: Request) -> HttpResponseBase:
        """Return a page of the journal, or with `format=csv` all of it as a file."""
        query = self.validated_query()
        as_of = settled(query.get("as_of"))
        if request.accepted_renderer.format == "csv":
            return self.csv(request, "journal", journal_csv(as_of))
        lines, following = journal_page(as_of, place_of(query.get("cursor")), query["page_size"])
        time = format_timestamp(as_of.at)
        return self.respond_with({"as_of": time, "lines": lines, "next": page_url(request, time, following)})


def place_of(cursor: str | None) -> Place:
    """Return where a page begins. Raises ValidationError for a cursor that is not ours."""
    if not cursor:
        return START
    try:
        return Place(*CURSORS.unsign_object(cursor))
    except (BadSignature, ValueError) as error:
        detail = "Invalid cursor for this list. Start again without a cursor."
        raise ValidationError({"cursor": detail}, code=InvalidCursor.code) from error


def page_url(request: Request, as_of: str, place: Place | None) -> str | None:
    """Return the URL of the page that begins at a place, of the same time; None at the end."""
    if place is None:
        return None
    cursor = CURSORS.sign_object([str(part) if not isinstance(part, int) else part for part in place])
    return str(replace_query_param(replace_query_param(request.build_absolute_uri(), "as_of", as_of), "cursor", cursor))
