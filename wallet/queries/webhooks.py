"""How webhooks are doing: endpoints with their lag and log, and those that fail."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import BigIntegerField, F, Func, Max, OuterRef, Q, Subquery, Value
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from wallet.delivery.models import Tick, WebhookAttempt, WebhookEndpoint

FAILING_LATE = timedelta(minutes=15)  # shorter failures are retried before anybody can look
MAX_SHOWN, LOG_LINES = 50, 10


class EndpointState(NamedTuple):
    """An endpoint, the number of events that it has not got yet, and the end of its log."""

    endpoint: WebhookEndpoint
    state: str
    behind: int
    log: list[WebhookAttempt]


def endpoint_states() -> list[EndpointState]:
    """Return the endpoints, the failing ones first, at most MAX_SHOWN."""
    total = Tick.objects.aggregate(total=Max("total"))["total"] or 0
    tick = Cast(Func(F("cursor"), Value("."), Value(1), function="split_part"), BigIntegerField())
    reached = Tick.objects.filter(pk=OuterRef("reached_tick")).values("total")
    endpoints = (
        WebhookEndpoint.objects.select_related("service")
        .annotate(reached_tick=tick, reached=Coalesce(Subquery(reached), 0, output_field=BigIntegerField()))
        .order_by(F("failing_since").asc(nulls_last=True), "service__name", "url")[:MAX_SHOWN]
    )
    return [
        EndpointState(endpoint, endpoint.state, total - endpoint.reached, list(endpoint.attempts.all()[:LOG_LINES]))
        for endpoint in endpoints
    ]


def failing_endpoints(now: datetime | None = None) -> list[WebhookEndpoint]:
    """Return the endpoints that were given up or have failed for a while."""
    late = Q(failing_since__lt=(now or timezone.now()) - FAILING_LATE)
    failing = WebhookEndpoint.objects.filter(late | Q(given_up_at__isnull=False), is_active=True, service__is_active=True)
    return list(failing.select_related("service").order_by("failing_since"))
