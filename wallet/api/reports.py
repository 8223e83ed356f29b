"""/reports/: the ownership report and the summary of issued credits by status."""

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.exceptions import PermissionDenied
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.expensive_reads import EXPORT, ExpensiveRead
from accounts.permissions import IsAdmin
from kernel.file_download import FileTooLarge, csv_file_response
from kernel.openapi import operation
from wallet.api.filters import OwnershipFilter
from wallet.api.pagination import CursorPagination
from wallet.api.request_serializers import SummaryQuery
from wallet.api.response_serializers import OwnershipSerializer, SummarySerializer
from wallet.api.viewsets import BaseViewSet
from wallet.assets.models import CashbackAsset
from wallet.assets.querysets import AssetQuerySet
from wallet.queries import csv_export, ownership, reports


class CsvRenderer(BaseRenderer):
    """Makes `?format=csv` and `Accept: text/csv` known to content negotiation. The view streams the rows itself."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, *_: Any, **__: Any) -> Any:
        """Return the data unchanged."""
        return data


class OwnershipViewSet(BaseViewSet):
    """The ownership report."""

    permissions: ClassVar = {"list": IsAdmin}
    serializer_class = OwnershipSerializer
    renderer_classes = [*BaseViewSet.renderer_classes, CsvRenderer]
    queryset = CashbackAsset.objects.all()
    filterset_class = OwnershipFilter
    orderings: ClassVar = {"created_at": "id", "expires_at": "expires_at", "total_value": "total_value"}

    def expensive_read(self) -> ExpensiveRead | None:
        """Return EXPORT for CSV."""
        return EXPORT if self.request.accepted_renderer.format == "csv" else super().expensive_read()

    def get_queryset(self) -> AssetQuerySet:
        """Return the credits with their owners and pools."""
        return ownership.ownership_rows()

    @operation(
        "Report ownership",
        PermissionDenied,
        FileTooLarge,
        responses={(200, "application/json"): OwnershipSerializer(many=True), (200, "text/csv"): OpenApiTypes.STR},
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Return one row per credit: a page as JSON, or all of them as a CSV file with `format=csv`."""
        assets = cast("AssetQuerySet", self.filter_queryset(self.get_queryset()))
        if request.accepted_renderer.format == "csv":
            order = CursorPagination().checked_order(request, self)
            rows = order.sort(assets)
            if order.column == "total_value":  # of a file with several currencies, values are sorted within each
                rows = rows.order_by("currency", *rows.query.order_by)
            chunks: Iterable[str | bytes] = ownership.ownership_csv(rows)
            with_mark = request.query_params.get("bom") == "1"
            return csv_file_response("ownership.csv", csv_export.with_byte_order_mark(chunks) if with_mark else chunks)
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(assets), many=True).data)


class SummaryViewSet(BaseViewSet):
    """The summary of issued credits by status."""

    permissions: ClassVar = {"list": IsAdmin}
    queries: ClassVar = {"list": SummaryQuery}
    serializer_class = SummarySerializer
    pagination_class = None
    filter_backends = ()

    @operation(
        "Summarise issued credits",
        PermissionDenied,
        operation_id="reports_summary_retrieve",
        parameters=[SummaryQuery],
        responses=SummarySerializer,
    )
    def list(self, request: Request) -> Response:
        """Return the count and value of the credits in each status, per currency and pool. The statuses add up to issued."""
        filters = self.validated_query()
        return self.respond_with({"lines": reports.summary_report(filters.get("pool"), filters.get("currency"))})
