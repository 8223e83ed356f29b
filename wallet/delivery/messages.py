"""Webhook messages: one event each, signed and sent, with the outcome as a line of the log."""

import json
import socket
import ssl
from datetime import datetime
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException
from time import monotonic
from typing import Any, NamedTuple
from uuid import uuid4

from django.conf import settings

from kernel.timestamps import format_timestamp
from wallet.delivery.cursors import START
from wallet.delivery.event_types import TEST_EVENT
from wallet.delivery.feed import Event
from wallet.delivery.guarded_http import AddressRefused, GuardedClient
from wallet.delivery.models import MAX_EXCERPT, WebhookEndpoint
from wallet.delivery.webhook_signatures import live_secrets, signed_headers

HEADERS = {"Content-Type": "application/json", "User-Agent": "cashback-webhooks/1"}


class Outcome(NamedTuple):
    """What came of one attempt. `status` is None when there was no response."""

    status: int | None
    duration_ms: int
    detail: str

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has the event."""
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more events (410)."""
        return self.status == HTTPStatus.GONE


# Why there was no response, by exception; the first that matches.
FAILURES: dict[type[Exception], str] = {
    socket.gaierror: "The receiver's name was not found.",
    ConnectionRefusedError: "The receiver refused the connection.",
    ssl.SSLCertVerificationError: "The receiver's certificate is not valid.",
    ssl.SSLError: "The receiver does not speak TLS as expected.",
    ConnectionError: "The receiver closed the connection.",
    BadStatusLine: "The receiver does not speak HTTP.",
}


def event_body(event: Event) -> dict[str, Any]:
    """Return an event as the feed lists it and webhooks send it."""
    return {"id": event.id, "type": event.type, "timestamp": format_timestamp(event.at), "data": event.data}


def create_test_event(endpoint: WebhookEndpoint, now: datetime) -> Event:
    """Return an event that says nothing and has no place in the stream."""
    return Event(f"test_{uuid4()}", TEST_EVENT, now, {"webhook": str(endpoint.pk)}, START)


def open_client(endpoint: WebhookEndpoint) -> GuardedClient:
    """Return a client for the endpoint. Raises ValidationError when its URL is not allowed (any more)."""
    return GuardedClient(endpoint.url, settings.WEBHOOK_TIMEOUT, private=settings.WEBHOOK_PRIVATE_ADDRESSES)


def send_event(client: GuardedClient, endpoint: WebhookEndpoint, event: Event, now: datetime) -> Outcome:
    """Send one event and return the outcome.

    Arguments:
        now: the time of this attempt by PostgreSQL's clock: receivers refuse messages that are minutes early or late.
    """
    body = json.dumps(event_body(event), ensure_ascii=False, separators=(",", ":"))
    headers = signed_headers(live_secrets(endpoint, now), event.id, body, now)
    started = monotonic()
    status: int | None = None
    try:
        status, detail = client.post(body, HEADERS | headers)
    except (OSError, HTTPException) as error:
        detail = failure_text(error)
    return Outcome(status, round((monotonic() - started) * 1000), detail[:MAX_EXCERPT])


def failure_text(error: Exception) -> str:
    """Return why there was no response. Words of the other side are not repeated."""
    if isinstance(error, (AddressRefused, TimeoutError)) and error.args:
        return str(error)
    return next((text for kind, text in FAILURES.items() if isinstance(error, kind)), f"No response: {type(error).__name__}.")
