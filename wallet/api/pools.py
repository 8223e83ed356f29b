"""/pools/: what is on offer, and a credit of a pool, whichever expires first."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import IsAdmin
from accounts.throttles import ClaimThrottle, RateLimited
from wallet import claims, issuing, pools
from wallet.api import idempotency
from wallet.api.bodies import IssueBody, Nothing, PoolBody
from wallet.api.claims import answered
from wallet.api.door import Door
from wallet.api.schema import described
from wallet.api.serializers import ClaimSerializer, IssuedSerializer, PoolSerializer
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.querysets import PoolQuerySet
from wallet.claims import ClaimLimitReached, PoolClosed, PoolSoldOut
from wallet.ledger.idempotency import IdempotencyKeyReused, RequestInProgress


@extend_schema_view(
    list=described("List pools"),
    retrieve=described("Show a pool"),
)
class PoolViewSet(ListModelMixin, RetrieveModelMixin, Door):
    """Pools; users see those that are active."""

    permissions: ClassVar = {
        "list": IsAuthenticated,
        "retrieve": IsAuthenticated,
        "claim": IsAuthenticated,
        "create": IsAdmin,
        "partial_update": IsAdmin,
        "issue": IsAdmin,
    }
    bodies: ClassVar = {"create": PoolBody, "partial_update": PoolBody, "issue": IssueBody, "claim": Nothing}
    serializer_class = PoolSerializer
    queryset = CreditPool.objects.all()
    lookup_value_converter = "uuid"

    def get_queryset(self) -> PoolQuerySet:
        """Return what the caller may see, with what they could claim."""
        assets = CashbackAsset.objects.all()
        return CreditPool.objects.visible_to(self.user).with_supply().with_can_claim(assets, self.user)

    @described("Open a pool", responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        """Open a pool in one currency, for a time, with a limit per user."""
        pool = pools.open_pool(self.user, **self.body())
        return self.shown(self.get_queryset().get(pk=pool.pk), 201)

    @described("Change a pool", responses=PoolSerializer)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change the fields given; a new limit or window holds from the next claim on."""
        pool = pools.update_pool(pk, self.user, **self.body())
        return self.shown(self.get_queryset().get(pk=pool.pk))

    @described(
        "Issue credits in a pool",
        IdempotencyKeyReused,
        RequestInProgress,
        idempotency.IdempotencyKeyRequired,
        parameters=[idempotency.header(required=True), idempotency.REPLAYED_HEADER],
        responses={201: IssuedSerializer},
    )
    @action(detail=True, methods=["post"])
    def issue(self, request: Request, pk: UUID) -> Response:
        """Issue up to 100,000 equal credits, all or none, once per key."""
        fields = self.body()
        keyed = idempotency.must_be_keyed(request, self.user, "issue", "pool", pk, sorted(fields.items()))
        issued = issuing.issue(self.user, pk, request=keyed, **fields)
        return Response({"issued": issued.count}, 201, headers=idempotency.REPLAYED if issued.replayed else None)

    @described(
        "Claim a credit of a pool",
        PoolSoldOut,
        PoolClosed,
        ClaimLimitReached,
        RateLimited,
        IdempotencyKeyReused,
        RequestInProgress,
        idempotency.IdempotencyKeyRequired,
        parameters=[idempotency.header(required=True), idempotency.REPLAYED_HEADER],
        responses={201: OpenApiResponse(ClaimSerializer, "The claim; sent again with the same key, the same answer.")},
    )
    @action(detail=True, methods=["post"], throttle_classes=[ClaimThrottle])
    def claim(self, request: Request, pk: UUID) -> Response:
        """Claim the credit of this pool that expires first, once per key."""
        self.must_be_empty()
        return answered(claims.claim_any(pk, self.user, idempotency.must_be_keyed(request, self.user, "claim", "pool", pk)))
