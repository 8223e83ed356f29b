"""/webhooks/: where a service gets its events sent to."""

from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ValidationError as FormError
from django.db.models import QuerySet
from django.utils.translation import gettext_noop as _
from drf_spectacular.utils import OpenApiResponse, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import ScopeMissing, service_with
from accounts.services import Scope
from accounts.throttles import PaymentThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.refusals import NotFound
from kernel.strict_serializers import StrictSerializer
from wallet.actions import edit_webhook
from wallet.api.fields import ChoiceField, ListField
from wallet.api.payment_openapi import body_example
from wallet.api.request_serializers import EmptyBody
from wallet.api.service_viewsets import ServiceViewSet
from wallet.delivery.event_types import EVENT_TYPES
from wallet.delivery.models import MAX_URL_LENGTH, WEBHOOK_STATES, WebhookEndpoint


class WebhookNotFound(NotFound):
    code = "not_found"
    meaning = _("The service has no webhook with this id.")
    detail = _("Webhook not found. See the list of your webhooks.")


class WebhookBody(StrictSerializer):
    """A new webhook."""

    url = serializers.CharField(max_length=MAX_URL_LENGTH)
    event_types = ListField(
        child=ChoiceField(choices=EVENT_TYPES),
        required=False,
        max_length=len(EVENT_TYPES),
        help_text="All types if omitted.",
    )


class WebhookSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """A webhook and its delivery status."""

    event_types = serializers.ListField(child=serializers.ChoiceField(choices=EVENT_TYPES), help_text="All types if empty.")
    state = serializers.ChoiceField(choices=WEBHOOK_STATES)

    class Meta:
        model = WebhookEndpoint
        fields = ("id", "url", "event_types", "state", "delivered", "last_success_at", "failing_since", "created_at")
        read_only_fields = fields


class NewWebhookSerializer(WebhookSerializer):
    """A new webhook with its secret, which is shown once."""

    secret = serializers.CharField(help_text="Verifies signatures, by the Standard Webhooks specification. Shown only now.")

    class Meta:
        model = WebhookEndpoint
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = fields


class TestResultSerializer(serializers.Serializer[Any]):
    """The result of a test event."""

    succeeded = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True, help_text="The receiver's HTTP status; null if there was no response.")
    duration_ms = serializers.IntegerField()
    detail = serializers.CharField(help_text="The start of the response, or the reason why there was none.")


@extend_schema_view(list=operation("List webhooks", PermissionDenied, ScopeMissing))
class WebhookViewSet(ListModelMixin, ServiceViewSet):
    """The webhooks of the service that calls."""

    permissions: ClassVar = dict.fromkeys(("list", "create", "destroy", "test"), service_with(Scope.MANAGE_WEBHOOKS))
    bodies: ClassVar = {"create": WebhookBody, "test": EmptyBody}
    serializer_class = WebhookSerializer
    queryset = WebhookEndpoint.objects.all()
    lookup_value_converter = "any_case_uuid"

    def get_throttles(self) -> list[Any]:
        """Return the limit of whatever changes or sends something."""
        return [PaymentThrottle()] if self.action in ("create", "destroy", "test") else []

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        """Return the webhooks of the service."""
        return WebhookEndpoint.objects.filter(service=self.service) if self.service else WebhookEndpoint.objects.none()

    def endpoint(self, pk: UUID) -> WebhookEndpoint:
        """Return one of the service's webhooks. Raises WebhookNotFound."""
        found = self.get_queryset().filter(pk=pk).first()
        if found is None:
            raise WebhookNotFound
        return found

    @operation(
        "Add a webhook",
        RateLimited,
        ScopeMissing,
        examples=[body_example("Payments only", url="https://shop.example/webhooks", event_types=["payment.held"])],
        responses={201: OpenApiResponse(NewWebhookSerializer, "The webhook and its secret.")},
    )
    def create(self, request: Request) -> Response:
        """Create a webhook that sends the service's events to a URL from now on. The secret is shown once."""
        assert self.service is not None
        fields = self.validated_body()
        try:
            made = edit_webhook.add_webhook(self.service, fields["url"], fields.get("event_types", ()))
        except FormError as error:
            raise ValidationError({"url": error.messages}, code=error.code) from error
        return Response({**WebhookSerializer(made.endpoint).data, "secret": made.secret}, 201)

    @operation("Remove a webhook", WebhookNotFound, RateLimited, ScopeMissing, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a webhook and its position in the feed."""
        edit_webhook.remove_webhook(self.endpoint(pk))
        return Response(status=204)

    @operation("Test a webhook", WebhookNotFound, RateLimited, ScopeMissing, responses=TestResultSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: UUID) -> Response:
        """Send `webhook.test` now and return the result."""
        self.require_empty_body()
        attempt = edit_webhook.send_test_event(self.endpoint(pk))
        return Response(TestResultSerializer(attempt).data)
