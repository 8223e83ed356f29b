"""/assets/: list, issue, change, claim, expire and recreate single credits."""

from typing import ClassVar
from uuid import UUID

from django.db.models import Q
from drf_spectacular.utils import OpenApiResponse, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.email_links import EmailNotVerified
from accounts.permissions import IsAdmin
from accounts.throttles import ClaimThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.versions import ChangedMeanwhile
from wallet.actions import edit_asset, issue_assets, recreate_asset
from wallet.actions.approvals import ApprovalRequired
from wallet.actions.claim import claim_asset
from wallet.actions.claim_decisions import AssetAlreadyClaimed, ClaimLimitReached, NeverSpendable, NotYetClaimable, PoolClosed
from wallet.actions.edit_asset import AssetNotAvailable
from wallet.actions.payment_refusals import UserNotFound
from wallet.actions.recreate_asset import AlreadyRecreated, AssetNotExpired
from wallet.api import idempotency
from wallet.api.asset_list import asset_list_branches
from wallet.api.claims import claim_response
from wallet.api.conditional import IF_MATCH, etag_header
from wallet.api.explaining import ExplainQuery, explained_user
from wallet.api.filters import AssetFilter
from wallet.api.proposal_serializers import WAITS
from wallet.api.request_serializers import AssetBody, EmptyBody, RecreateBody
from wallet.api.response_serializers import AssetSerializer, ClaimExplanationSerializer, ClaimSerializer
from wallet.api.viewsets import BaseViewSet
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset
from wallet.assets.querysets import AssetQuerySet
from wallet.ledger.idempotency import IdempotencyKeyReused, RequestInProgress
from wallet.queries.explain_claim import explain_asset_claim


@extend_schema_view(
    list=operation("List credits"),
    retrieve=operation("Show a credit", parameters=[etag_header(200)]),
)
class AssetViewSet(ListModelMixin, RetrieveModelMixin, BaseViewSet):
    """Credits. Users see only those that no one else has claimed."""

    permissions: ClassVar = {
        "list": IsAuthenticated,
        "retrieve": IsAuthenticated,
        "claim": IsAuthenticated,
        "create": IsAdmin,
        "partial_update": IsAdmin,
        "destroy": IsAdmin,
        "expire": IsAdmin,
        "recreate": IsAdmin,
        "explain": IsAuthenticated,
    }
    bodies: ClassVar = {
        "create": AssetBody,
        "partial_update": AssetBody,
        "claim": EmptyBody,
        "expire": EmptyBody,
        "recreate": RecreateBody,
    }
    queries: ClassVar = {"explain": ExplainQuery}
    serializer_class = AssetSerializer
    queryset = CashbackAsset.objects.all()
    filterset_class = AssetFilter
    orderings: ClassVar = {"created_at": "id", "expires_at": "expires_at", "total_value": "total_value"}
    lookup_value_converter = "any_case_uuid"
    not_found = AssetNotFound
    version_columns = (*edit_asset.EDITABLE_FIELDS, "status", "claimed_by")
    indexed_filters = frozenset({"status", "pool", "mine", "batch"})

    def get_queryset(self) -> AssetQuerySet:
        """Return the credits that the caller may see, with their current status."""
        assets = CashbackAsset.objects.visible_to(self.user).with_current_status()
        return assets.select_related("claimed_by") if self.user.is_admin else assets

    def branches(self) -> list[Q]:
        """Return the branches that the list is the union of."""
        return asset_list_branches(self.user, self.request.query_params)

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show one credit with its entity tag."""
        return self.respond_with(self.get_object())

    @operation("Issue a credit", parameters=[etag_header(201)], responses={201: AssetSerializer, **WAITS})
    def create(self, request: Request) -> Response:
        """Issue one credit. Its currency defaults to that of its pool."""
        return self.respond_with(issue_assets.issue_asset(self.user, **self.validated_body()), 201)

    @operation(
        "Change a credit",
        AssetNotAvailable,
        ApprovalRequired,
        ChangedMeanwhile,
        parameters=[IF_MATCH, etag_header(200)],
        responses=AssetSerializer,
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change the given fields of an AVAILABLE credit."""
        return self.respond_with(edit_asset.update_asset(pk, self.user, self.precondition(), **self.validated_body()))

    @operation(
        "Delete a credit", AssetNotAvailable, ChangedMeanwhile, ValidationError, parameters=[IF_MATCH], responses={204: None}
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a credit that was neither claimed nor recreated."""
        edit_asset.delete_asset(pk, self.user, self.precondition())
        return Response(status=204)

    @operation(
        "Claim a credit",
        AssetAlreadyClaimed,
        AssetExpired,
        PoolClosed,
        ClaimLimitReached,
        NotYetClaimable,
        EmailNotVerified,
        NeverSpendable,
        RateLimited,
        IdempotencyKeyReused,
        RequestInProgress,
        parameters=[idempotency.idempotency_key_parameter(required=False), idempotency.REPLAYED_HEADER],
        responses={
            200: OpenApiResponse(ClaimSerializer, "The credit was the caller's already: the first claim."),
            201: OpenApiResponse(ClaimSerializer, "The new claim."),
        },
    )
    @action(detail=True, methods=["post"], throttle_classes=[ClaimThrottle])
    def claim(self, request: Request, pk: UUID) -> Response:
        """Claim this credit. Repeating the request is safe: the owner gets the original claim."""
        self.require_empty_body()
        return claim_response(
            claim_asset(pk, self.user, idempotency.idempotent_request(request, self.user, "claim", "asset", pk))
        )

    @operation("Explain a claim", UserNotFound, parameters=[ExplainQuery], responses=ClaimExplanationSerializer, filters=False)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def explain(self, request: Request, pk: UUID) -> Response:
        """Return whether the caller can claim this credit now, each rule with its figures. An ADMIN may name a user."""
        return Response(explain_asset_claim(self.get_object(), explained_user(self.user, self.validated_query().get("user"))))

    @operation(
        "Expire a credit",
        AssetNotAvailable,
        ChangedMeanwhile,
        parameters=[IF_MATCH, etag_header(200)],
        responses=AssetSerializer,
    )
    @action(detail=True, methods=["post"])
    def expire(self, request: Request, pk: UUID) -> Response:
        """Expire an AVAILABLE credit now."""
        self.require_empty_body()
        return self.respond_with(edit_asset.expire_asset(pk, self.user, self.precondition()))

    @operation(
        "Recreate a credit",
        AssetNotExpired,
        AlreadyRecreated,
        ApprovalRequired,
        ChangedMeanwhile,
        parameters=[IF_MATCH, etag_header(201)],
        responses={201: AssetSerializer, **WAITS},
    )
    @action(detail=True, methods=["post"])
    def recreate(self, request: Request, pk: UUID) -> Response:
        """Issue a new credit from an EXPIRED one, once per parent. It refers to its parent and is one generation later."""
        return self.respond_with(
            recreate_asset.recreate_asset(pk, self.user, self.precondition(), **self.validated_body()), 201
        )
