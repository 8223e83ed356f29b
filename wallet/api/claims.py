"""/claims/: the ledger entries of claims, newest first, and their inclusion proofs."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.openapi import operation
from wallet.actions.claim_batch import Claim
from wallet.actions.payment_refusals import ClaimNotFound, UserNotFound
from wallet.api.filters import ClaimFilter
from wallet.api.idempotency import REPLAYED
from wallet.api.response_serializers import ClaimSerializer, ProofSerializer
from wallet.api.viewsets import BaseViewSet
from wallet.ledger.models import Entry
from wallet.ledger.querysets import EntryQuerySet
from wallet.queries.inclusion_proof import NotSealedYet, inclusion_proof


def claim_response(claim: Claim) -> Response:
    """Return the response to a claim: its receipt, with the status code that the action returned."""
    return Response(claim.receipt, claim.status_code, headers=REPLAYED if claim.replayed else None)


@extend_schema_view(
    list=operation("List claims", UserNotFound),
    retrieve=operation("Show a claim"),
    proof=operation("Prove that a claim is in the ledger", NotSealedYet, responses=ProofSerializer, filters=False),
)
class ClaimViewSet(ListModelMixin, RetrieveModelMixin, BaseViewSet):
    """Claims. Users see their own; an ADMIN sees all of them and their owners."""

    permissions: ClassVar = {"list": IsAuthenticated, "retrieve": IsAuthenticated, "proof": IsAuthenticated}
    serializer_class = ClaimSerializer
    queryset = Entry.objects.all()
    filterset_class = ClaimFilter
    orderings: ClassVar = {"claimed_at": "claimed_at"}
    ordering = "-claimed_at"
    indexed_filters = frozenset({"user", "asset", "from", "to"})
    lookup_value_converter = "any_case_uuid"
    not_found = ClaimNotFound

    def get_queryset(self) -> EntryQuerySet:
        """Return the entries that the caller may see."""
        entries = Entry.objects.visible_to(self.user).select_related("asset")
        return entries.select_related("user") if self.user.is_admin else entries

    @action(detail=True, serializer_class=ProofSerializer, pagination_class=None, filterset_class=None)
    def proof(self, request: Request, pk: str) -> Response:
        """Return the claim's inclusion proof under a signed seal. examples/verify_proof.py verifies it without this server."""
        return Response(inclusion_proof(self.get_object()))
