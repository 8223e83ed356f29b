"""Webhooks: events a second to one receiver, beside bare requests with the same bodies to the same receiver."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

from accounts.services import Service
from dev.bench.environment import BenchEnvironment
from dev.bench.payments import LARGE_CREDIT, open_shop
from dev.bench.results import Figure
from dev.bench.wallets import fill_wallets, open_payable_pool
from wallet.actions.deliver_webhooks import Run, deliver_run, lease_endpoint
from wallet.actions.edit_webhook import add_webhook, resend_webhook
from wallet.actions.pay import PaymentRequest, pay_batch
from wallet.delivery.cursors import START
from wallet.delivery.feed import read_events
from wallet.delivery.messages import event_body
from wallet.delivery.models import WebhookEndpoint
from wallet.delivery.ticks import append_tick

EVENTS, QUICK_EVENTS, BATCH = 5_000, 500, 50
RECEIVER = """
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
"""


def bench_webhooks(environment: BenchEnvironment) -> list[Figure]:
    """Send the events of payments to one receiver, and the same bodies without signatures, positions and log."""
    shop = open_shop(environment, "webhooks")
    fill_wallets(open_payable_pool("Large credits"), len(shop.payers), LARGE_CREDIT)
    service = Service.objects.get(pk=shop.services[0][0])
    count = environment.size(EVENTS, QUICK_EVENTS)
    environment.report_progress(f"making {count:,} payments")
    make_payments(service, list(shop.payers), count)
    append_tick()
    with receiver() as port:
        endpoint = add_webhook(service, f"http://127.0.0.1:{port}/").endpoint
        bodies = event_bodies(service, count)
        rounds = environment.alternate(lambda: send_all(endpoint, count), lambda: post_all(port, bodies))
    return [Figure("webhook events to one receiver, beside bare requests", None, "more", rounds, "events/s")]


def make_payments(service: Service, payers: list[UUID], count: int) -> None:
    """Make so many payments, in batches."""
    order = {
        "currency": "INR",
        "amount": Decimal(1),
        "capture": True,
        "up_to": False,
        "hold_seconds": None,
        "order_total": None,
    }
    for first in range(0, count, BATCH):
        requests = [
            PaymentRequest(
                user_id=payers[number % len(payers)],
                service_id=service.pk,
                reference=f"order-{number}",
                actor_id=None,
                request_key=None,
                **order,  # type: ignore[arg-type]
            )
            for number in range(first, min(first + BATCH, count))
        ]
        pay_batch(requests)


def event_bodies(service: Service, count: int) -> list[bytes]:
    """Return the bodies of all messages. Raises RuntimeError when they are not as many as were made."""
    bodies, after, has_more = [], START, True
    while has_more:
        page = read_events(after, service=service.pk, limit=1_000)
        bodies += [json.dumps(event_body(event)).encode() for event in page.events]
        after, has_more = page.after, page.has_more
    if len(bodies) != count:
        raise RuntimeError(f"{len(bodies)} events instead of {count}")
    return bodies


def send_all(endpoint: WebhookEndpoint, count: int) -> float:
    """Send all events and return how many a second. Raises RuntimeError when not all arrived."""
    resend_webhook(endpoint)
    WebhookEndpoint.objects.update(cursor=str(START), lease=None, leased_until=None)
    started = time.perf_counter()
    leased = lease_endpoint(endpoint.pk)
    arrived = deliver_run(Run(leased), time.monotonic() + 600) if leased else 0
    if arrived != count:
        raise RuntimeError(f"{arrived} events arrived instead of {count}")
    return count / (time.perf_counter() - started)


def post_all(port: int, bodies: list[bytes]) -> float:
    """Send the bodies one after the other over one connection and return how many a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    for body in bodies:
        connection.request("POST", "/", body)
        connection.getresponse().read()
    seconds = time.perf_counter() - started
    connection.close()
    return len(bodies) / seconds


@contextmanager
def receiver() -> Iterator[int]:
    """Run a receiver in a process of its own; yield its port."""
    process = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
