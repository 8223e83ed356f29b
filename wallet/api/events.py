"""/events/: services report what happened to a person elsewhere, for which rules grant credits."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import ScopeMissing, service_with
from accounts.services import Scope
from accounts.throttles import PaymentThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.strict_serializers import StrictSerializer
from wallet.actions import payment_refusals as refusals
from wallet.actions.payment_refusals import UserNotFound
from wallet.actions.report_event import UnknownEvent, report_event
from wallet.api import idempotency
from wallet.api.fields import TimestampField
from wallet.api.payment_bodies import ReferenceField, UserNameField
from wallet.api.payment_openapi import KEYED, body_example
from wallet.api.payment_serializers import response_example
from wallet.api.response_serializers import Shape
from wallet.api.service_viewsets import ServiceViewSet
from wallet.ledger.idempotency import IdempotencyKeyReused

EVENT_EXAMPLE = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "name": "review.written",
    "reference": "review-4711",
    "user": "01890a5d-ac96-774b-bcce-b302099a8058",
    "occurred_at": None,
    "reported_at": "2026-11-30T06:30:00Z",
    "credits_due": 1,
}


class EventBody(StrictSerializer):
    """An event to report and its user."""

    name = serializers.CharField(max_length=50, help_text="Name of the event, as used in a rule, such as review.written.")
    reference = ReferenceField()
    user = UserNameField()
    occurred_at = TimestampField(required=False, help_text="For the record. Rules count an event from when it is reported.")


@extend_schema_serializer(examples=response_example("An event", EVENT_EXAMPLE))
class ReportedEventSerializer(Shape):
    """A reported event."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    reference = serializers.CharField()
    user = serializers.UUIDField()
    occurred_at = serializers.DateTimeField(allow_null=True)
    reported_at = serializers.DateTimeField()
    credits_due = serializers.IntegerField(help_text="Number of credits due for the event. They are granted within seconds.")


class EventViewSet(ServiceViewSet):
    """Events that services report."""

    permissions: ClassVar = {"create": service_with(Scope.REPORT_EVENTS)}
    bodies: ClassVar = {"create": EventBody}
    serializer_class = ReportedEventSerializer
    throttle_classes = (PaymentThrottle,)

    @operation(
        "Report an event",
        refusals.InvalidReference,
        refusals.ReferenceUsed,
        UnknownEvent,
        IdempotencyKeyReused,
        RateLimited,
        ScopeMissing,
        UserNotFound,
        parameters=KEYED,
        examples=[
            body_example("A review", name="review.written", reference="review-4711", user="alice@example.com"),
        ],
        responses={
            200: OpenApiResponse(ReportedEventSerializer, "The reference was reported before: the same event."),
            201: OpenApiResponse(ReportedEventSerializer, "The event."),
        },
    )
    def create(self, request: Request) -> Response:
        """Record that something happened to a user, once per reference. Each active rule for it owes the user a credit.

        An event that no rule knows is refused; one that only paused rules know is recorded, and nothing is due for it.
        """
        fields, key = self.validated_body(), idempotency.idempotency_key(request)
        user, service = self.named_user(fields.pop("user")), self.service
        assert service is not None  # by the permission
        return self.answer(report_event(service, user, **fields, key=key))
