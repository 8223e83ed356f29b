"""A receiver of webhooks, endpoints, and the events of a service."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from accounts.models import User
from accounts.services import Service
from tests.api.conftest import _no_rates, anonymous, as_ada, as_alice, as_bob, by  # noqa: F401  (fixtures)
from tests.money.conftest import credit, hold, other_shop, shop, spend  # noqa: F401  (fixtures)
from tests.payments.conftest import as_other_shop, as_shop, new_key  # noqa: F401  (fixtures)
from wallet.actions import edit_webhook
from wallet.actions.edit_webhook import NewSecret
from wallet.actions.issue_assets import build_asset, issue_assets
from wallet.assets.models import CreditPool
from wallet.delivery.cursors import START, Cursor
from wallet.delivery.feed import Event, read_events
from wallet.delivery.models import WebhookEndpoint
from wallet.delivery.ticks import append_tick


@dataclass
class Receiver:
    """A server that keeps what it gets. `answer` decides what becomes of a message: a status, "hang", "cut" or "lose".

    "cut" closes the connection without a response and forgets the message; "lose" keeps it, but the response is lost.
    """

    answer: Callable[[], int | str] = lambda: 200
    headers: dict[str, str] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    raw: list[tuple[dict[str, str], str]] = field(default_factory=list)
    requests: int = 0
    url: str = ""
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return [message["id"] for message in self.received]

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.received]


class QuietServer(http.server.ThreadingHTTPServer):
    """A server that says nothing about clients that are killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def handler_of(receiver: Receiver) -> type[http.server.BaseHTTPRequestHandler]:
    """Return a handler that gives what it gets to the receiver."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            outcome = receiver.answer()
            if outcome == "hang":
                time.sleep(1.5)
                self.close_connection = True
                return
            if outcome in (200, 202, "lose"):
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.raw.append((headers, body))
                receiver.received.append(json.loads(body))
            if isinstance(outcome, str):
                self.close_connection = True
                return
            self.send_response(outcome)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def start_receiver() -> Iterator[Callable[..., Receiver]]:
    """Start a receiver on this machine."""
    servers: list[QuietServer] = []

    def start(**fields: Any) -> Receiver:
        receiver = Receiver(**fields)
        server = QuietServer(("127.0.0.1", 0), handler_of(receiver))
        servers.append(server)
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks?shop=1"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return receiver

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    """A test waits for no retry longer than it must."""
    settings.WEBHOOK_TIMEOUT, settings.WEBHOOK_RETRY_SECONDS = 0.5, 0.01


@pytest.fixture
def add(shop: Service) -> Callable[..., NewSecret]:  # noqa: F811
    """Add a webhook of the shop to a receiver."""

    def make(receiver: Receiver, *types: str, service: Service | None = None) -> NewSecret:
        return edit_webhook.add_webhook(service or shop, receiver.url, types)

    return make


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
