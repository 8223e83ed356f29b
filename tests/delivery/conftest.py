"""Receivers of webhooks, endpoints, and the events of a service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from time import monotonic
from typing import Any

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from accounts.models import User
from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver, running_receiver
from tests.api.conftest import _no_rates, anonymous, as_ada, as_alice, as_bob, by  # noqa: F401  (fixtures)
from tests.money.conftest import credit, hold, other_shop, shop, spend  # noqa: F401  (fixtures)
from tests.payments.conftest import as_other_shop, as_shop, new_key  # noqa: F401  (fixtures)
from wallet.actions import edit_webhook
from wallet.actions.deliver_webhooks import MAX_CONCURRENT, deliver_webhooks, due_endpoints
from wallet.actions.edit_webhook import NewSecret
from wallet.actions.issue_assets import build_asset, issue_assets
from wallet.assets.models import CreditPool
from wallet.delivery.cursors import START, Cursor
from wallet.delivery.feed import Event, read_events
from wallet.delivery.models import WebhookEndpoint
from wallet.delivery.ticks import append_tick

PATIENCE = 60  # seconds


@pytest.fixture
def start_receiver() -> Iterator[Callable[..., Receiver]]:
    """Start a receiver on this machine."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(running_receiver(Receiver(**fields)))


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    """A test waits for no retry longer than it must. A machine that is busy for a second makes no receiver a slow one."""
    settings.WEBHOOK_TIMEOUT, settings.WEBHOOK_RETRY_SECONDS = 10, 0.01


@pytest.fixture
def add(shop: Service) -> Callable[..., NewSecret]:  # noqa: F811
    """Add a webhook of the shop to a receiver."""

    def make(receiver: Receiver, *types: str, service: Service | None = None) -> NewSecret:
        return edit_webhook.add_webhook(service or shop, receiver.url, types)

    return make


def nobody_is_behind() -> bool:
    """Return whether every endpoint that can be sent to has all events."""
    append_tick()
    return not due_endpoints(MAX_CONCURRENT)


def deliver(until: Callable[[], bool] = nobody_is_behind, seconds: float = 0.7) -> int:
    """Send events for so long, and on until something is true, however slow the machine is; return how many arrived."""
    end, count = monotonic() + PATIENCE, deliver_webhooks(seconds)
    while not until():
        assert monotonic() < end, "the events were not sent"
        count += deliver_webhooks(seconds)
    return count


def issue_to(pool: CreditPool, actor: User, count: int, title: str, value: int = 100) -> None:
    """Issue equal credits in a pool, by one statement."""
    credits_ = [build_asset(actor, title=title, total_value=Decimal(value), pool=pool) for _ in range(count)]
    issue_assets(credits_)


def all_events(service: Service | None = None, limit: int = 100, after: Cursor = START) -> list[Event]:
    """Return all events that a service, or an operator, sees, page by page, after a tick."""
    append_tick()
    events, has_more = [], True
    while has_more:
        page = read_events(after, service=service.pk if service else None, limit=limit)
        events += page.events
        after, has_more = page.after, page.has_more
    return events


def verify(secret: str, receiver: Receiver) -> list[Any]:
    """Return the messages of a receiver, whose signatures have been verified by the published package."""
    return [Webhook(secret).verify(body, headers) for headers, body in receiver.raw]


def reload(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Return the endpoint as it is stored now."""
    return WebhookEndpoint.objects.get(pk=endpoint.pk)
