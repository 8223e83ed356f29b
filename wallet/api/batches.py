"""/batches/: what was issued together, and what became of it."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin

from accounts.permissions import IsAdmin
from kernel.openapi import operation
from wallet.api.response_serializers import BatchDetailSerializer, BatchSerializer
from wallet.api.viewsets import BaseViewSet
from wallet.assets.batches import Batch, BatchNotFound, BatchQuerySet


@extend_schema_view(
    list=operation("List batches", PermissionDenied),
    retrieve=operation("Show a batch", PermissionDenied, responses=BatchDetailSerializer),
)
class BatchViewSet(ListModelMixin, RetrieveModelMixin, BaseViewSet):
    """Batches: credits that were issued by one call, one import or one action of an operator."""

    permissions: ClassVar = {"list": IsAdmin, "retrieve": IsAdmin}
    bodies: ClassVar = {"retrieve": BatchDetailSerializer}
    serializer_class = BatchSerializer
    queryset = Batch.objects.all()
    lookup_value_converter = "any_case_uuid"
    not_found = BatchNotFound

    def get_queryset(self) -> BatchQuerySet:
        """Return the batches with their totals and operators."""
        return Batch.objects.with_totals().select_related("created_by")
