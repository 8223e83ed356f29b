"""/feed/: the stream of events, for services and operators."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError as FormError
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import ScopeMissing
from accounts.services import Scope
from accounts.throttles import FeedThrottle
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.strict_serializers import StrictSerializer
from wallet.api.fields import TimestampField
from wallet.api.pagination import MAX_PAGE_SIZE, PageSizeField
from wallet.api.service_viewsets import ServiceViewSet, admin_or_service
from wallet.delivery.cursors import START, Cursor, InvalidCursor, parse_cursor
from wallet.delivery.event_types import EVENT_TYPES, checked_types
from wallet.delivery.feed import read_events
from wallet.delivery.messages import event_body
from wallet.delivery.ticks import last_tick

LATEST = "latest"


class EventTypesField(serializers.CharField):
    """Event types, separated by commas."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the list of types. Raises ValidationError."""
        names = super().to_internal_value(data).split(",")
        try:
            return checked_types([name.strip() for name in names])
        except FormError as error:
            raise serializers.ValidationError(error.messages, code=error.code) from error


class FeedQuery(StrictSerializer):
    """Where to start, and what to return."""

    after = serializers.CharField(
        max_length=150,
        required=False,
        help_text=f"The `cursor` of the page before; `{LATEST}`: only the position of now; omitted: from the first event on.",
    )
    types = EventTypesField(
        max_length=500, required=False, help_text=f"Types separated by commas, of: {', '.join(EVENT_TYPES)}. Omitted: all."
    )
    page_size = PageSizeField(default=MAX_PAGE_SIZE)


@extend_schema_field({"type": "object", "additionalProperties": True})
class EventDataField(serializers.DictField):
    """The contents of an event, by its type."""


class EventSerializer(serializers.Serializer[Any]):
    """One event, as webhooks send it too."""

    id = serializers.CharField(help_text="Stays the same, however often the event is read or sent.")
    type = serializers.ChoiceField(choices=EVENT_TYPES)
    timestamp = TimestampField()
    data = EventDataField(  # type: ignore[assignment]  # a field of this name, not the property
        help_text="By type: see the documentation of webhooks."
    )


@extend_schema_serializer(many=False)
class FeedSerializer(serializers.Serializer[Any]):
    """A page of events."""

    cursor = serializers.CharField(help_text="The position after this page: the `after` of the next request.")
    has_more = serializers.BooleanField(help_text="Whether to ask again at once. A page with more to come may be empty.")
    results = EventSerializer(many=True)


EXAMPLE = OpenApiExample(
    "A claim",
    value={
        "cursor": "1042",
        "has_more": False,
        "results": [
            {
                "id": "claim_0197f7ae-6a0b-7c41-9e0c-8f5c0a6f1a11",
                "type": "credit.claimed",
                "timestamp": "2026-11-03T09:30:12.123456Z",
                "data": {"id": "0197f7ae-6a0b-7c41-9e0c-8f5c0a6f1a11", "amount": "50.00", "currency": "INR"},
            }
        ],
    },
    response_only=True,
)


class FeedViewSet(ServiceViewSet):
    """The stream of events. A service sees what concerns it, an ADMIN everything."""

    permissions: ClassVar = {"list": admin_or_service(Scope.READ_EVENTS)}
    queries: ClassVar = {"list": FeedQuery}
    throttle_classes = (FeedThrottle,)
    indexed_filters: ClassVar = frozenset({"after", "types"})  # a page reads one part of the stream, whatever it asks for
    serializer_class = FeedSerializer
    pagination_class = None
    filter_backends = ()

    @operation(
        "Read events",
        InvalidCursor,
        PermissionDenied,
        RateLimited,
        ScopeMissing,
        operation_id="feed_retrieve",
        parameters=[FeedQuery],
        examples=[EXAMPLE],
        responses=FeedSerializer,
    )
    def list(self, request: Request) -> Response:
        """Return the next events: claims, movements of claimed credit, and the life of credits, each once and in order.

        Save `cursor` together with what you did about the events, and ask again with it: nothing is missed and nothing comes
        twice. The scheduler adds new events every second.
        """
        query = self.validated_query()
        page = read_events(
            start_of(query.get("after")),
            service=self.service.pk if self.service else None,
            types=query.get("types", ()),
            limit=query["page_size"],
        )
        results = [event_body(event) for event in page.events]
        return Response({"cursor": str(page.after), "has_more": page.has_more, "results": results})


def start_of(after: str | None) -> Cursor:
    """Return the position that a request names. Raises InvalidCursor."""
    if after is None:
        return START
    try:
        return Cursor(last_tick()) if after == LATEST else parse_cursor(after)
    except InvalidCursor as error:
        error.members = {"errors": [{"field": "after", "code": error.code, "detail": error.message}]}
        raise
