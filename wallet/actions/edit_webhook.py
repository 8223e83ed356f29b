"""Webhook endpoints: added, tested, rotated, paused, sent again and removed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from accounts.services import Service
from kernel.batching import release_connection
from kernel.statements import database_time
from kernel.transactions import violated_constraint
from wallet.actions.deliver_webhooks import log_attempt
from wallet.delivery.event_types import checked_types
from wallet.delivery.guarded_http import checked_url
from wallet.delivery.messages import create_test_event, open_client, send_event
from wallet.delivery.models import WebhookAttempt, WebhookEndpoint
from wallet.delivery.ticks import append_tick, last_tick, tick_before
from wallet.delivery.webhook_signatures import current_secret

MAX_ENDPOINTS = 20  # of one service
MAX_OVERLAP = timedelta(days=30)


class NewSecret(NamedTuple):
    """An endpoint and its secret, which is shown once."""

    endpoint: WebhookEndpoint
    secret: str


def add_webhook(service: Service, url: str, event_types: Iterable[str] = (), *, actor: User | None = None) -> NewSecret:
    """Add an endpoint that gets the service's events from now on.

    Arguments:
        event_types: the types to send; none: all.
        actor: the operator; None: the service itself, or the shell.

    Raises ValidationError for a URL that is not allowed or known already, for unknown types and for too many endpoints.
    """
    checked_url(url, private=settings.WEBHOOK_PRIVATE_ADDRESSES)
    chosen = checked_types(list(event_types))
    append_tick()
    try:
        with transaction.atomic():
            Service.objects.select_for_update(no_key=True).get(pk=service.pk)
            if service.webhooks.count() >= MAX_ENDPOINTS:
                raise ValidationError(_("This service has too many webhooks. Remove one first."), code="too_many_webhooks")
            endpoint = WebhookEndpoint.objects.create(
                service=service, url=url, event_types=chosen, created_by=actor, cursor=str(last_tick())
            )
    except IntegrityError as error:
        if violated_constraint(error) != "webhook_url_of_service":
            raise
        raise ValidationError(_("This service has a webhook with this URL already."), code="url_taken") from error
    record_change("add", endpoint, actor)
    return NewSecret(endpoint, current_secret(endpoint))


def rotate_webhook_secret(endpoint: WebhookEndpoint, overlap: timedelta, actor: User | None = None) -> NewSecret:
    """Make a new secret; messages are signed by both for `overlap`. Raises ValidationError for an overlap over 30 days."""
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValidationError(_("Both secrets can sign for 0 hours to 30 days."), code="overlap")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        secret_version=F("secret_version") + 1, previous_secret_until=Now() + overlap
    )
    endpoint.refresh_from_db()
    record_change("rotate", endpoint, actor)
    return NewSecret(endpoint, current_secret(endpoint))


def set_webhook_active(endpoint: WebhookEndpoint, is_active: bool, actor: User | None = None) -> None:
    """Pause an endpoint, or go on sending from where it stopped."""
    if WebhookEndpoint.objects.filter(pk=endpoint.pk).exclude(is_active=is_active).update(is_active=is_active):
        record_change("start" if is_active else "pause", endpoint, actor)


def resend_webhook(endpoint: WebhookEndpoint, since: datetime | None = None, actor: User | None = None) -> None:
    """Try again now, however often it failed: from where it stopped, or all events since a time once more."""
    changes = {} if since is None else {"cursor": str(tick_before(since)), "lease": None, "leased_until": None}
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        given_up_at=None, failing_since=None, failures=0, next_attempt_at=Now(), **changes
    )
    record_change("resend", endpoint, actor)


def remove_webhook(endpoint: WebhookEndpoint, actor: User | None = None) -> None:
    """Remove an endpoint and its log."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).delete()
    record_change("remove", endpoint, actor)


def send_test_event(endpoint: WebhookEndpoint) -> WebhookAttempt:
    """Send `webhook.test` at once and return the line of the log. Raises ValidationError when the URL is not allowed."""
    now = database_time()
    event = create_test_event(endpoint, now)
    client = open_client(endpoint)
    release_connection()  # a receiver may be slow
    try:
        outcome = send_event(client, endpoint, event, now)
    finally:
        client.close()
    return log_attempt(endpoint, [event.id], outcome, succeeded=outcome.succeeded)


def record_change(change: str, endpoint: WebhookEndpoint, actor: User | None) -> None:
    """Write a line of the audit log."""
    audit.record_event("webhook", "done", actor, change=change, service=str(endpoint.service_id), webhook=str(endpoint.pk))
