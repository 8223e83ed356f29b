"""/proposals/: what waits for a second operator, and its decision."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import IsAdmin
from kernel.openapi import operation
from wallet.actions import decide_proposal as decisions
from wallet.actions.import_mistakes import FileChanged
from wallet.api.filters import ProposalFilter
from wallet.api.proposal_serializers import ApproveBody, ProposalSerializer, RefuseBody
from wallet.api.viewsets import BaseViewSet
from wallet.ledger.models import Proposal
from wallet.queries.proposals import listed_proposals

REFUSALS = (decisions.ProposalDecided, decisions.ProposalExpired, decisions.OwnProposal)


@extend_schema_view(list=operation("List proposals", PermissionDenied), retrieve=operation("Show a proposal", PermissionDenied))
class ProposalViewSet(ListModelMixin, RetrieveModelMixin, BaseViewSet):
    """Proposals: actions that wait for another operator, or were decided by one."""

    permissions: ClassVar = {"list": IsAdmin, "retrieve": IsAdmin, "approve": IsAdmin, "refuse": IsAdmin}
    bodies: ClassVar = {"approve": ApproveBody, "refuse": RefuseBody}
    serializer_class = ProposalSerializer
    queryset = Proposal.objects.all()
    filterset_class = ProposalFilter
    indexed_filters = frozenset({"state", "kind", "pool"})  # proposals are few
    lookup_value_converter = "any_case_uuid"
    not_found = decisions.ProposalNotFound

    def get_queryset(self) -> QuerySet[Proposal]:
        """Return the proposals with their people."""
        return listed_proposals()

    @operation(
        "Approve a proposal",
        *REFUSALS,
        decisions.ProposalOutdated,
        decisions.FileMissing,
        FileChanged,
        responses={200: ProposalSerializer},
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: UUID) -> Response:
        """Approve a proposal of another operator or a service. The action is carried out in the same transaction, as shown.

        What the action itself refuses, such as a pool that is sold out by now, is answered with its own code, and the proposal
        stays undecided.
        """
        return self.decided(decisions.approve_proposal(pk, self.user, **self.validated_body()))

    @operation("Refuse a proposal", *REFUSALS, responses={200: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: UUID) -> Response:
        """Refuse a proposal of another operator or a service. Nothing is done."""
        return self.decided(decisions.refuse_proposal(pk, self.user, **self.validated_body()))

    def decided(self, proposal: Any) -> Response:
        """Return the decided proposal."""
        return self.respond_with(proposal)
