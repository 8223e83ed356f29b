"""/grants/, and clawback and extension of claims: by operators, and by services for what they granted."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import ScopeMissing
from accounts.services import Scope
from accounts.throttles import PaymentThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from wallet.actions import payment_refusals as refusals
from wallet.actions.claim_decisions import ClaimLimitReached, NeverSpendable, PoolClosed, PoolSoldOut
from wallet.actions.clawback_credit import clawback_credit, preview_clawback
from wallet.actions.extend_lot import extend_lot, preview_extension
from wallet.actions.grant_batch import BulkApprovalRequired, grant_many
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_lines import GrantLine
from wallet.actions.payment_answers import Answer
from wallet.actions.preview_grants import preview_grants
from wallet.api import idempotency
from wallet.api.payment_bodies import ClawbackBody, ExtendBody, GrantBatchBody, GrantBody
from wallet.api.payment_openapi import KEYED, body_example
from wallet.api.payment_serializers import (
    ClawbackPreviewSerializer,
    CreditChangeSerializer,
    ExtensionPreviewSerializer,
    GrantReportSerializer,
)
from wallet.api.proposal_serializers import WAITS
from wallet.api.response_serializers import ASSET_EXAMPLE, ClaimSerializer
from wallet.api.service_viewsets import ServiceViewSet, admin_or_service
from wallet.assets.models import PoolNotFound
from wallet.ledger.idempotency import IdempotencyKeyReused, RequestInProgress


class GrantViewSet(ServiceViewSet):
    """Grants: claims that an operator or a service makes for a user."""

    permissions: ClassVar = {"create": admin_or_service(Scope.GRANT), "batch": admin_or_service(Scope.GRANT)}
    bodies: ClassVar = {"create": GrantBody, "batch": GrantBatchBody}
    serializer_class = ClaimSerializer
    throttle_classes = (PaymentThrottle,)

    @operation(
        "Grant a credit",
        refusals.InvalidReference,
        refusals.ReferenceUsed,
        refusals.WalletClosed,
        PoolClosed,
        PoolSoldOut,
        ClaimLimitReached,
        NeverSpendable,
        RateLimited,
        ScopeMissing,
        refusals.UserNotFound,
        IdempotencyKeyReused,
        RequestInProgress,
        parameters=KEYED,
        examples=[
            body_example(
                "A gift", user="alice@example.com", pool=ASSET_EXAMPLE["pool"], reference="ticket-311", reason="goodwill"
            )
        ],
        responses={
            200: OpenApiResponse(ClaimSerializer, "The reference granted it before: the same claim."),
            201: OpenApiResponse(ClaimSerializer, "The claim."),
            **WAITS,
        },
    )
    def create(self, request: Request) -> Response:
        """Claim the credit of a pool that expires soonest for a user, once per reference. The pool's rules hold."""
        fields = self.validated_body()
        user, pool = self.named_user(fields.pop("user")), fields.pop("pool")
        keyed = idempotency.idempotent_request(request, self.caller, "grant", user.pk, pool, fields)
        return self.answer(grant_credit(user, pool, **fields, actor=self.actor, service=self.service, request=keyed))

    @operation(
        "Grant credits to many users",
        PoolNotFound,
        BulkApprovalRequired,
        IdempotencyKeyReused,
        RequestInProgress,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        examples=[
            body_example(
                "Two gifts",
                pool=ASSET_EXAMPLE["pool"],
                reason="anniversary",
                lines=[
                    {"user": "alice@example.com", "reference": "anniversary-1"},
                    {"user": "bob@example.com", "reference": "anniversary-2"},
                ],
            )
        ],
        responses={
            200: OpenApiResponse(GrantReportSerializer, "What became of each line, or in a preview would become of it.")
        },
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def batch(self, request: Request) -> Response:
        """Grant one credit of a pool per line. Each line is granted, was granted before under its reference, or is refused.

        Send the same lines again after a lost answer: a reference grants once, and with an Idempotency-Key the first report
        comes again. With `preview` nothing is granted, and no key is used.
        """
        fields = self.validated_body()
        lines = [GrantLine(line["user"], line["reference"]) for line in fields["lines"]]
        keyed = idempotency.idempotent_request(request, self.caller, "grants", fields["pool"], fields["reason"], lines)
        if fields.get("preview"):
            return Response(preview_grants(fields["pool"], lines, reason=fields["reason"], service=self.service))
        report = grant_many(
            fields["pool"], lines, reason=fields["reason"], actor=self.actor, service=self.service, request=keyed
        )
        return self.answer(Answer(report.body, 200, report.replayed))


class CreditChangeViewSet(ServiceViewSet):
    """Changes of claimed credits."""

    permissions: ClassVar = {"clawback": admin_or_service(Scope.GRANT), "extend": admin_or_service(Scope.GRANT)}
    bodies: ClassVar = {"clawback": ClawbackBody, "extend": ExtendBody}
    serializer_class = CreditChangeSerializer
    throttle_classes = (PaymentThrottle,)
    lookup_value_converter = "any_case_uuid"

    @operation(
        "Claw back a claim",
        refusals.InvalidAmount,
        refusals.ClaimClawedBack,
        refusals.ExceedsClaim,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        examples=[
            body_example("Preview", reason="fraud", preview=True),
            body_example("A part", amount="20.00", reason="fraud"),
        ],
        responses={
            200: OpenApiResponse(ClawbackPreviewSerializer, "The preview: nothing was changed."),
            201: OpenApiResponse(CreditChangeSerializer, "The clawback."),
            **WAITS,
        },
    )
    @action(detail=True, methods=["post"])
    def clawback(self, request: Request, pk: UUID) -> Response:
        """Take a claim back, wholly or in part. What is held or spent becomes the shortfall and is taken when it comes back.

        Send an Idempotency-Key: a part that is sent again without one is taken again.
        """
        fields, key = self.validated_body(), idempotency.idempotency_key(request)
        if fields.pop("preview", False):
            return Response(preview_clawback(pk, fields.get("amount"), self.service))
        return self.answer(clawback_credit(pk, **fields, actor=self.actor, service=self.service, key=key))

    @operation(
        "Extend a claimed credit",
        refusals.ClaimClawedBack,
        refusals.NotLater,
        refusals.CreditEnded,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        parameters=KEYED,
        examples=[body_example("A month more", until="2027-04-30T18:30:00Z", reason="goodwill")],
        responses={
            200: OpenApiResponse(ExtensionPreviewSerializer, "The preview: nothing was changed."),
            201: OpenApiResponse(CreditChangeSerializer, "The extension."),
            **WAITS,
        },
    )
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, pk: UUID) -> Response:
        """Move the end of a claimed credit later. A credit is never shortened."""
        fields, key = self.validated_body(), idempotency.idempotency_key(request)
        if fields.pop("preview", False):
            return Response(preview_extension(pk, fields["until"], self.service))
        return self.answer(extend_lot(pk, **fields, actor=self.actor, service=self.service, key=key))
