"""/pools/: list, open and change pools, issue credits in one, and claim the credit of one that expires soonest."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema_view
from rest_framework.decorators import action
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
from wallet.actions import edit_pool, issue_assets, pool_lifecycle
from wallet.actions.claim import claim_from_pool
from wallet.actions.claim_decisions import ClaimLimitReached, NeverSpendable, PoolClosed, PoolSoldOut
from wallet.actions.payment_refusals import UserNotFound
from wallet.api import idempotency
from wallet.api.claims import claim_response
from wallet.api.conditional import IF_MATCH, etag_header
from wallet.api.explaining import ExplainQuery, explained_user
from wallet.api.filters import PoolFilter
from wallet.api.proposal_serializers import WAITS
from wallet.api.request_serializers import DuplicateBody, EmptyBody, IssueBody, PoolBody
from wallet.api.response_serializers import (
    ClaimExplanationSerializer,
    ClaimSerializer,
    IssuedSerializer,
    IssuePreviewSerializer,
    PoolSerializer,
)
from wallet.api.viewsets import BaseViewSet
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.assets.querysets import PoolQuerySet
from wallet.ledger.idempotency import IdempotencyKeyReused, RequestInProgress
from wallet.queries.explain_claim import explain_pool_claim


@extend_schema_view(
    list=operation("List pools"),
    retrieve=operation("Show a pool", parameters=[etag_header(200)]),
)
class PoolViewSet(ListModelMixin, RetrieveModelMixin, BaseViewSet):
    """Pools. Users see the active ones."""

    permissions: ClassVar = {
        "list": IsAuthenticated,
        "retrieve": IsAuthenticated,
        "claim": IsAuthenticated,
        "create": IsAdmin,
        "partial_update": IsAdmin,
        "issue": IsAdmin,
        "archive": IsAdmin,
        "unarchive": IsAdmin,
        "duplicate": IsAdmin,
        "explain": IsAuthenticated,
    }
    bodies: ClassVar = {
        "create": PoolBody,
        "partial_update": PoolBody,
        "issue": IssueBody,
        "claim": EmptyBody,
        "archive": EmptyBody,
        "unarchive": EmptyBody,
        "duplicate": DuplicateBody,
    }
    filterset_class = PoolFilter
    indexed_filters: ClassVar = frozenset({"archived"})  # pools are few
    queries: ClassVar = {"explain": ExplainQuery}
    serializer_class = PoolSerializer
    queryset = CreditPool.objects.all()
    lookup_value_converter = "any_case_uuid"
    not_found = PoolNotFound
    version_columns = edit_pool.VERSION

    def get_queryset(self) -> PoolQuerySet:
        """Return the pools that the caller may see, with their supply and whether the caller can claim."""
        pools = CreditPool.objects.visible_to(self.user).with_supply().with_can_claim(CashbackAsset.objects.all(), self.user)
        shows_archived = self.action != "list" or self.request.query_params.get("archived")
        return pools if shows_archived else pools.not_archived()

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show one pool with its entity tag."""
        return self.respond_with(self.get_object())

    @operation("Create a pool", parameters=[etag_header(201)], responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        """Open a pool with a currency, a claim window and a limit per user."""
        pool = edit_pool.open_pool(self.user, **self.validated_body())
        return self.respond_with(self.get_queryset().get(pk=pool.pk), 201)

    @operation(
        "Change a pool",
        ChangedMeanwhile,
        parameters=[IF_MATCH, etag_header(200)],
        responses={200: PoolSerializer, **WAITS},
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change the given fields. A new limit or window applies from the next claim on.

        Another operator must approve to raise or remove the `approval_threshold`, which is then to be changed alone.
        """
        pool = edit_pool.update_pool(pk, self.user, self.precondition(), **self.validated_body())
        return self.respond_with(self.get_queryset().get(pk=pool.pk))

    @operation("Archive a pool", ChangedMeanwhile, parameters=[IF_MATCH, etag_header(200)], responses=PoolSerializer)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: UUID) -> Response:
        """Pause a pool and hide it from the default lists. Its credits and records are kept."""
        self.require_empty_body()
        return self.respond_with(self.get_queryset().get(pk=pool_lifecycle.archive_pool(pk, self.user, self.precondition()).pk))

    @operation("Unarchive a pool", ChangedMeanwhile, parameters=[IF_MATCH, etag_header(200)], responses=PoolSerializer)
    @action(detail=True, methods=["post"])
    def unarchive(self, request: Request, pk: UUID) -> Response:
        """Return an archived pool to the lists. It stays paused until `is_active` is set."""
        self.require_empty_body()
        return self.respond_with(
            self.get_queryset().get(pk=pool_lifecycle.unarchive_pool(pk, self.user, self.precondition()).pk)
        )

    @operation("Duplicate a pool", ChangedMeanwhile, parameters=[IF_MATCH, etag_header(201)], responses={201: PoolSerializer})
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, pk: UUID) -> Response:
        """Create a paused pool with the same settings under a new name, without credits."""
        pool = pool_lifecycle.duplicate_pool(pk, self.user, precondition=self.precondition(), **self.validated_body())
        return self.respond_with(self.get_queryset().get(pk=pool.pk), 201)

    @operation(
        "Issue credits in a pool",
        IdempotencyKeyReused,
        RequestInProgress,
        idempotency.IdempotencyKeyRequired,
        ChangedMeanwhile,
        parameters=[idempotency.idempotency_key_parameter(required=True), idempotency.REPLAYED_HEADER, IF_MATCH],
        responses={
            200: OpenApiResponse(IssuePreviewSerializer, "The preview: nothing was issued."),
            201: IssuedSerializer,
            **WAITS,
        },
    )
    @action(detail=True, methods=["post"])
    def issue(self, request: Request, pk: UUID) -> Response:
        """Issue up to 100,000 identical credits, all or none, once per key. With `preview` nothing is issued."""
        fields = self.validated_body()
        if fields.pop("preview", False):
            return Response(issue_assets.preview_issue(pk, self.precondition(), **fields))
        given = sorted((name, value) for name, value in fields.items() if value is not None)  # null is the default of each
        keyed_request = idempotency.required_idempotent_request(request, self.user, "issue", "pool", pk, given)
        issued = issue_assets.issue_in_pool(self.user, pk, request=keyed_request, precondition=self.precondition(), **fields)
        body = {"issued": issued.count, "batch": issued.batch}
        return Response(body, 201, headers=idempotency.REPLAYED if issued.replayed else None)

    @operation("Explain a claim", UserNotFound, parameters=[ExplainQuery], responses=ClaimExplanationSerializer, filters=False)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def explain(self, request: Request, pk: UUID) -> Response:
        """Return whether the caller can claim from this pool now, each rule with its figures. An ADMIN may name a user."""
        return Response(explain_pool_claim(self.get_object(), explained_user(self.user, self.validated_query().get("user"))))

    @operation(
        "Claim a credit of a pool",
        PoolSoldOut,
        PoolClosed,
        ClaimLimitReached,
        EmailNotVerified,
        NeverSpendable,
        RateLimited,
        IdempotencyKeyReused,
        RequestInProgress,
        idempotency.IdempotencyKeyRequired,
        parameters=[idempotency.idempotency_key_parameter(required=True), idempotency.REPLAYED_HEADER],
        responses={201: OpenApiResponse(ClaimSerializer, "The claim. A retry with the same key gets the same response.")},
    )
    @action(detail=True, methods=["post"], throttle_classes=[ClaimThrottle])
    def claim(self, request: Request, pk: UUID) -> Response:
        """Claim the credit of this pool that expires soonest, once per key."""
        self.require_empty_body()
        return claim_response(
            claim_from_pool(pk, self.user, idempotency.required_idempotent_request(request, self.user, "claim", "pool", pk))
        )
