"""/payments/: quote, hold, capture, release and refund, by services, users and operators."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.expensive_reads import ExpensiveRead
from accounts.permissions import IsService, ScopeMissing, require_scope, service_with
from accounts.services import Scope, Service
from accounts.throttles import PaymentThrottle, QuoteThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from wallet.actions import payment_refusals as refusals
from wallet.actions.capture_payment import capture_payment
from wallet.actions.pay import pay
from wallet.actions.quote_payment import quote_payment
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.api import idempotency
from wallet.api.filters import PaymentFilter
from wallet.api.payment_bodies import CaptureBody, PaymentBody, QuoteBody, RefundBody
from wallet.api.payment_openapi import ANSWERS, KEYED, ORDER, body_example
from wallet.api.payment_serializers import (
    ExplanationSerializer,
    PaymentDetailSerializer,
    PaymentProofSerializer,
    PaymentSerializer,
    QuoteSerializer,
)
from wallet.api.request_serializers import EmptyBody
from wallet.api.service_viewsets import (
    ServiceNotFound,
    ServiceViewSet,
    admin_or_service,
    user_or_service,
)
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.ledger.models import Payment
from wallet.queries.inclusion_proof import NotSealedYet
from wallet.queries.payments import explain_payment, payment_proofs, visible_payments


@extend_schema_view(
    list=operation("List payments", ScopeMissing, refusals.UserNotFound),
    retrieve=operation("Show a payment", ScopeMissing, responses=PaymentDetailSerializer),
    proof=operation("Prove a payment", NotSealedYet, PermissionDenied, responses=PaymentProofSerializer, filters=False),
    explain=operation("Explain a payment", PermissionDenied, responses=ExplanationSerializer, filters=False),
)
class PaymentViewSet(ListModelMixin, RetrieveModelMixin, ServiceViewSet):
    """Payments. A service sees its own, a user theirs, an ADMIN all."""

    permissions: ClassVar[dict[str, Any]] = {
        "list": user_or_service(Scope.READ_PAYMENTS),
        "retrieve": user_or_service(Scope.READ_PAYMENTS),
        "quote": user_or_service(Scope.QUOTE),
        "create": IsService | IsAuthenticated,
        "capture": service_with(Scope.CAPTURE),
        "release": user_or_service(Scope.HOLD),
        "refund": admin_or_service(Scope.REFUND),
        "proof": IsAuthenticated,
        "explain": IsAuthenticated,
    }
    bodies: ClassVar = {
        "retrieve": PaymentDetailSerializer,
        "quote": QuoteBody,
        "create": PaymentBody,
        "capture": CaptureBody,
        "release": EmptyBody,
        "refund": RefundBody,
    }
    serializer_class = PaymentSerializer
    queryset = Payment.objects.all()
    filterset_class = PaymentFilter
    ordering = "-created_at"
    lookup_value_converter = "any_case_uuid"
    not_found = refusals.PaymentNotFound
    # Each of these begins with the user, so that an index finds the rows.
    indexed_filters = frozenset({"user"})

    @property
    def orderings(self) -> dict[str, str]:  # type: ignore[override]
        """The columns to order by, as the caller's index has them: a payment's id is in the order of time, too."""
        is_users = not getattr(self, "swagger_fake_view", False) and self.actor is not None and not self.actor.is_admin
        return {"created_at": "began_at" if is_users else "id"}

    def get_throttles(self) -> list[Any]:
        """Return the limit of whatever changes a payment, and of quotes."""
        throttle = {"quote": QuoteThrottle, "create": PaymentThrottle, "capture": PaymentThrottle}.get(self.action)
        throttle = PaymentThrottle if self.action in ("release", "refund") else throttle
        return [throttle()] if throttle else []

    def get_queryset(self) -> QuerySet[Payment]:
        """Return the payments that the caller may see."""
        return visible_payments(self.actor, self.service)

    def expensive_read(self) -> ExpensiveRead | None:
        """Return SEARCH for filters that no index serves; a user's own payments are few."""
        is_own = self.actor is not None and not self.actor.is_admin
        return None if is_own or self.request.query_params.get("user") else super().expensive_read()

    @operation(
        "Quote a payment",
        refusals.InvalidAmount,
        refusals.WalletClosed,
        refusals.UserNotFound,
        RateLimited,
        ScopeMissing,
        parameters=KEYED[:1],
        examples=[body_example("Quote", user="alice@example.com", **ORDER)],
        responses={200: QuoteSerializer},
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def quote(self, request: Request) -> Response:
        """Show which credits a payment would draw on now. Nothing is written or promised."""
        idempotency.idempotency_key(request)
        fields = self.validated_body()
        owner, service = self.wallet_owner(fields.pop("user", None)), self.merchant(fields.pop("service", None))
        return Response(quote_payment(owner, service, **fields))

    @operation(
        "Pay an order",
        refusals.InvalidAmount,
        refusals.InvalidReference,
        refusals.InvalidHold,
        refusals.InsufficientCredit,
        refusals.CreditHeld,
        refusals.TooManyCredits,
        refusals.ReferenceUsed,
        refusals.WalletClosed,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        ServiceNotFound,
        parameters=KEYED,
        examples=[
            body_example("Hold", user="alice@example.com", **ORDER, reference="order-1042", capture=False, hold_seconds=900),
            body_example("Pay at once", user="alice@example.com", **ORDER, reference="order-1043", capture=True, up_to=True),
        ],
        responses=ANSWERS,
    )
    def create(self, request: Request) -> Response:
        """Hold credit for an order, or spend it at once. One reference makes one payment, whatever is sent again."""
        fields = self.validated_body()
        owner, service = self.payer(fields.pop("user", None), fields.pop("service", None), capture=fields["capture"])
        return self.answer(pay(owner, service, **fields, actor=self.actor, key=idempotency.idempotency_key(request)))

    @operation(
        "Capture a payment",
        refusals.InvalidAmount,
        refusals.ExceedsHeld,
        refusals.HoldExpired,
        refusals.AlreadyCaptured,
        refusals.AlreadyReleased,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        examples=[body_example("A part; more may follow", amount="100.00", final=False)],
        responses={201: PaymentSerializer},
    )
    @action(detail=True, methods=["post"])
    def capture(self, request: Request, pk: UUID) -> Response:
        """Capture what is held, or a part of it.

        Send an Idempotency-Key: a part that is sent again without one is captured again.
        """
        fields, service = self.validated_body(), self.service
        assert service is not None
        return self.answer(capture_payment(pk, service, **fields, key=idempotency.idempotency_key(request)))

    @operation(
        "Release a payment",
        refusals.AlreadyCaptured,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        responses=ANSWERS,
    )
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: UUID) -> Response:
        """Give back what is still held. Its owner can release a payment of which nothing was captured."""
        self.require_empty_body()
        key = idempotency.idempotency_key(request)
        return self.answer(release_payment(pk, service=self.service, actor=self.actor, key=key))

    @operation(
        "Refund a payment",
        refusals.InvalidAmount,
        refusals.InvalidReference,
        refusals.ExceedsRefundable,
        refusals.ReferenceUsed,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        examples=[body_example("A part", amount="50.00", reference="return-77", reason="returned")],
        responses=ANSWERS,
    )
    @action(detail=True, methods=["post"])
    def refund(self, request: Request, pk: UUID) -> Response:
        """Give captured credit back to the credits that it came from, once per reference."""
        key = idempotency.idempotency_key(request)
        return self.answer(refund_payment(pk, **self.validated_body(), service=self.service, actor=self.actor, key=key))

    @action(detail=True, serializer_class=PaymentProofSerializer, pagination_class=None, filterset_class=None)
    def proof(self, request: Request, pk: UUID) -> Response:
        """Return the inclusion proof of each movement, for the owner and operators: a leaf names the credits that paid."""
        return Response(payment_proofs(self.get_object()))

    @action(detail=True, serializer_class=ExplanationSerializer, pagination_class=None, filterset_class=None)
    def explain(self, request: Request, pk: UUID) -> Response:
        """Return which credits paid and why these, for the owner and operators."""
        return Response(explain_payment(self.get_object()))

    def payer(self, user: str | None, service_id: UUID | None, *, capture: bool) -> tuple[Any, Service]:
        """Return whose wallet pays at which service; raise what forbids it. A user holds, a service also captures."""
        if self.service_caller is not None:
            require_scope(self.service_caller, Scope.CAPTURE if capture else Scope.HOLD)
        elif capture:
            raise PermissionDenied("Only a service can spend credit. Send capture false to hold it.")
        service = self.merchant(service_id)
        if service is None:
            raise ValidationError({"service": "Say at which service you pay."}, code="required")
        return self.wallet_owner(user), service

    def merchant(self, service_id: UUID | None) -> Service | None:
        """Return the service that calls, or that a user names; None for none. Raises ServiceNotFound and ValidationError."""
        if self.service is not None:
            if service_id not in (None, self.service.pk):
                raise ValidationError({"service": "A service pays at itself only. Omit this field."}, code="not_allowed")
            return self.service
        if service_id is None:
            return None
        service = Service.objects.filter(pk=service_id, is_active=True).first()
        if service is None:
            raise ServiceNotFound
        return service
