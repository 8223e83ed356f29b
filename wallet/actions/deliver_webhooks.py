"""Send events to webhook endpoints: each event at least once, one after the other, in the order of the feed.

An endpoint has a position in the stream, which moves when the receiver has answered with 2xx. A worker leases an endpoint
before it sends, so that two workers do not; after a crash the lease ends by itself, and what was sent since the position was
last saved is sent again. After a failure the endpoint waits, twice as long each time, and the others do not.
"""

import logging
import math
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Coalesce, Now

from accounts.services import Service
from kernel.database_clock import DatabaseClock
from kernel.fallbacks import Fallback
from kernel.waits import doubled_wait
from wallet.delivery.cursors import InvalidCursor, parse_cursor
from wallet.delivery.feed import MAX_PART, Event, read_events
from wallet.delivery.guarded_http import GuardedClient
from wallet.delivery.messages import Outcome, open_client, send_event
from wallet.delivery.models import WebhookAttempt, WebhookEndpoint
from wallet.delivery.ticks import append_tick, last_tick

log = logging.getLogger(__name__)
DELIVERY_FAILED = Fallback("webhooks.delivery_failed", "sending webhooks was interrupted and is tried again", log)
MAX_CONCURRENT = 8  # endpoints that one worker sends to at the same time
TICK_SECONDS = 1.0
PAUSE_SECONDS = 0.2  # between two looks for endpoints that are due
RUN_SECONDS = 10.0  # how long a worker sends to one endpoint before others get their turn
SAVE_SECONDS = 1.0  # how often the position is saved while events arrive
MAX_WAIT = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=1)
KEEP_LOG = timedelta(days=30)


@dataclass
class Run:
    """What a worker has sent to one endpoint, and what of it is not saved yet."""

    endpoint: WebhookEndpoint
    arrived: list[str] = field(default_factory=list)
    duration_ms: int = 0
    saved_at: float = field(default_factory=monotonic)
    clock: DatabaseClock = field(default_factory=DatabaseClock)
    count: int = 0

    def add(self, event: Event, outcome: Outcome) -> None:
        """Note that an event arrived."""
        self.endpoint.cursor = str(event.after)
        self.arrived.append(event.id)
        self.duration_ms += outcome.duration_ms
        self.count += 1


def deliver_webhooks(seconds: float | None = None) -> int:
    """Send events for so long, or for ever; return the number of events that arrived."""
    until = math.inf if seconds is None else monotonic() + seconds
    running: dict[UUID, Future[int]] = {}
    count, next_tick = 0, 0.0
    with ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="webhooks") as pool:
        while monotonic() < until:
            try:
                if monotonic() >= next_tick:
                    append_tick()
                    next_tick = monotonic() + TICK_SECONDS
                for pk in due_endpoints(MAX_CONCURRENT - len(running)):
                    running.setdefault(pk, pool.submit(deliver_to, pk, until))
            except (DatabaseError, InterfaceError):
                DELIVERY_FAILED.record()
                connection.close()
            time.sleep(PAUSE_SECONDS)
            count += collect_finished(running)
    return count + collect_finished(running)


def collect_finished(running: dict[UUID, Future[int]]) -> int:
    """Remove the runs that have ended; return how many events arrived in them."""
    finished = [pk for pk, future in running.items() if future.done()]
    return sum(running.pop(pk).result() for pk in finished)


def can_be_sent_to() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints whose time has come and that no worker has leased."""
    return WebhookEndpoint.objects.filter(
        Q(leased_until=None) | Q(leased_until__lt=Now()),
        is_active=True,
        given_up_at=None,
        next_attempt_at__lte=Now(),
        service__in=Service.objects.filter(is_active=True),
    )


def due_endpoints(limit: int) -> list[UUID]:
    """Return endpoints that there may be events for, those that have waited longest first."""
    behind = can_be_sent_to().exclude(cursor=str(last_tick())).order_by("next_attempt_at", "last_success_at")
    return list(behind.values_list("pk", flat=True)[: max(0, limit)])


def deliver_to(pk: UUID, until: float) -> int:
    """Send to one endpoint until it has all events, fails or has had its turn; return how many events arrived."""
    try:
        endpoint = lease_endpoint(pk)
        return deliver_run(Run(endpoint), min(until, monotonic() + RUN_SECONDS)) if endpoint else 0
    except Exception:  # noqa: BLE001  (recorded; the lease ends by itself, and no endpoint may stop the others)
        DELIVERY_FAILED.record()
        return 0
    finally:
        connection.close()


def lease_time() -> timedelta:
    """Return for how long an endpoint is leased: longer than one attempt and the time between two savings."""
    return timedelta(seconds=2 * settings.WEBHOOK_TIMEOUT + SAVE_SECONDS)


def lease_endpoint(pk: UUID) -> WebhookEndpoint | None:
    """Return the endpoint, leased; None when another worker has it."""
    lease = uuid4()
    if not can_be_sent_to().filter(pk=pk).update(lease=lease, leased_until=Now() + lease_time()):
        return None
    return WebhookEndpoint.objects.filter(pk=pk, lease=lease).first()


def deliver_run(run: Run, until: float) -> int:
    """Send the next events in order, save the position and end the lease; return how many events arrived."""
    failure: tuple[Event | None, Outcome] | None
    try:
        client = open_client(run.endpoint)
        try:
            failure = send_pages(client, run, until)
        finally:
            client.close()
    except (ValidationError, InvalidCursor) as error:  # a URL that is no longer allowed, or a position that is not one
        failure = (None, Outcome(None, 0, str(getattr(error, "message", error))))
    if failure is None:  # the others are before it now
        save(run, lease=None, leased_until=None, next_attempt_at=Now())
    else:
        save_failure(run, *failure)
    return run.count


def send_pages(client: GuardedClient, run: Run, until: float) -> tuple[Event, Outcome] | None:
    """Send events until there are no more, the time is over or the lease is lost; return the one that failed and how."""
    endpoint, has_more = run.endpoint, True
    while has_more and monotonic() < until:
        page = read_events(
            parse_cursor(endpoint.cursor), service=endpoint.service_id, types=endpoint.event_types, limit=MAX_PART
        )
        for event in page.events:
            if monotonic() - run.saved_at > SAVE_SECONDS and not save(run):
                return None
            if monotonic() >= until:
                return None
            outcome = send_event(client, endpoint, event, run.clock.now())
            if not outcome.succeeded:
                return event, outcome
            run.add(event, outcome)
        endpoint.cursor, has_more = str(page.after), page.has_more
        if not save(run):
            return None
    return None


def save(run: Run, **changes: Any) -> bool:
    """Save the position and the log, and lease the endpoint further; return whether the lease was still ours."""
    arrived, run.arrived = run.arrived, []
    if arrived:
        changes |= {"failures": 0, "failing_since": None, "last_success_at": Now(), "delivered": F("delivered") + len(arrived)}
    fields = {"cursor": run.endpoint.cursor, "leased_until": Now() + lease_time()} | changes
    with transaction.atomic():
        is_ours = WebhookEndpoint.objects.filter(pk=run.endpoint.pk, lease=run.endpoint.lease).update(**fields)
        if arrived and is_ours:
            outcome = Outcome(200, run.duration_ms, "")
            log_attempt(run.endpoint, arrived, outcome, succeeded=True)
    run.duration_ms, run.saved_at = 0, monotonic()
    return bool(is_ours)


def save_failure(run: Run, event: Event | None, outcome: Outcome) -> None:
    """Save what arrived before; then let the endpoint wait, or give it up after a day of failures or when it is gone."""
    endpoint = run.endpoint
    if not save(run):
        return
    endpoint.refresh_from_db(fields=["failures"])
    too_long = Case(When(failing_since__lte=Now() - GIVE_UP_AFTER, then=Now()))
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk, lease=endpoint.lease).update(
            failures=F("failures") + 1,
            failing_since=Coalesce("failing_since", Now()),
            next_attempt_at=Now() + wait_after(endpoint.failures + 1),
            given_up_at=Now() if outcome.is_gone else too_long,
            lease=None,
            leased_until=None,
        )
        log_attempt(endpoint, [event.id] if event else [], outcome, succeeded=False)


def wait_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures: twice as long each time, up to an hour, by chance down to half of it."""
    longest = doubled_wait(failures, timedelta(seconds=settings.WEBHOOK_RETRY_SECONDS), MAX_WAIT)
    return longest * random.uniform(0.5, 1)  # noqa: S311  (jitter, not a secret)


def log_attempt(endpoint: WebhookEndpoint, event_ids: list[str], outcome: Outcome, *, succeeded: bool) -> WebhookAttempt:
    """Add a line to the log of an endpoint."""
    return WebhookAttempt.objects.create(
        endpoint=endpoint,
        event_ids=event_ids,
        succeeded=succeeded,
        status=outcome.status,
        duration_ms=outcome.duration_ms,
        detail=outcome.detail,
    )


def delete_old_attempts() -> int:
    """Delete lines of the log older than 30 days; return how many."""
    return WebhookAttempt.objects.filter(at__lt=Now() - KEEP_LOG).delete()[0]
