"""Payments over HTTP with a service key: of one credit and of five, holds with captures, one hot wallet, one service."""

import itertools
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.services import Service
from dev.bench import load, pgbench
from dev.bench.claims_http import generator_idle_note, warm_server
from dev.bench.environment import BenchEnvironment, RoundDisturbed
from dev.bench.payment_statements import PAY
from dev.bench.results import Figure
from dev.bench.tables import Tables
from dev.bench.wallets import create_payers, fill_wallets, open_payable_pool
from dev.payment_race.fixture import create_api_key
from wallet.actions import seal_ledger
from wallet.verification.checker import snapshot_connection, verify_everything

PATH = "/api/v1/payments/"
CONNECTIONS, PAYERS, QUICK_PAYERS = 32, 1_000, 100
PAYMENTS, QUICK_PAYMENTS = 6_000, 400
SHARE_OF_ONE, SHARE_OF_FIVE, SHARE_ONE_SERVICE = 0.45, 0.35, 0.95
SHARE_HOT, RATE_HOT = 0.3, 200.0  # one of the two is enough
SERVICES = 20
LARGE_CREDIT, CREDIT, OVER_FIVE = 1_000_000, 10, 45  # 45 of credits of 10 draw on five, again and again


@dataclass
class Shop:
    """Services with their keys, and the users who pay there; `idle` is the least share of time that the generator idled."""

    services: list[tuple[UUID, str]]
    payers: Sequence[UUID]
    idle: float = 1.0

    def orders(self, count: int, amount: int, *, capture: bool = True, payers: int = 0, services: int = 1) -> Iterable[bytes]:
        """Return the requests of payments, users and services taking turns."""
        users = itertools.cycle(self.payers[: payers or None])
        shops = itertools.cycle(self.services[:services])
        for user, (_, key) in itertools.islice(zip(users, shops, strict=False), count):
            asked = {"user": str(user), "currency": "INR", "amount": str(amount), "reference": secrets.token_hex(12)}
            yield service_request(PATH, key, asked | {"capture": capture})

    def send(self, port: int, requests: Iterable[bytes]) -> load.LoadResult:
        """Send requests, all of which must be answered 201. Raises RoundDisturbed, RuntimeError."""
        result = load.send_all(port, list(requests), CONNECTIONS)
        statuses = {response.status for response in result.responses}
        if 503 in statuses:
            raise RoundDisturbed("requests were answered 503")
        if statuses != {201}:
            wrong = next(response for response in result.responses if response.status != 201)
            raise RuntimeError(f"unexpected status {wrong.status}: {wrong.body[:300]!r}")
        self.idle = min(self.idle, result.idle)
        return result

    def pay(self, port: int, count: int, amount: int = 1, **options: Any) -> float:
        """Make so many payments and return how many a second."""
        return self.send(port, self.orders(count, amount, **options)).rate

    def hold_and_capture(self, port: int, count: int) -> float:
        """Hold and capture so many payments and return the pairs a second."""
        held = self.send(port, self.orders(count, 1, capture=False))
        key = self.services[0][1]
        payments = [json.loads(response.body)["id"] for response in held.responses]
        captured = self.send(port, [service_request(f"{PATH}{payment}/capture/", key, {}) for payment in payments])
        return count / (held.seconds + captured.seconds)

    def by_pgbench(self, count: int, amount: int = 1) -> float:
        """Make so many payments with pgbench and return how many a second."""
        variables = {"step": CONNECTIONS, "payers": len(self.payers), "service": self.services[0][0], "amount": amount}
        return pgbench.transactions_a_second(PAY, count // CONNECTIONS, CONNECTIONS, **variables)


def service_request(path: str, key: str, body: object) -> bytes:
    """Return a service's request with an idempotency key of its own."""
    return load.build_request("POST", path, "", body, Authorization=f"Api-Key {key}", Idempotency_Key=secrets.token_hex(16))


def open_shop(environment: BenchEnvironment, name: str, tables: Tables | None = None, services: int = 1) -> Shop:
    """Make a fresh database with services and users, and with such tables."""
    environment.fresh_database(name)
    if tables:
        tables.fill()
    made = [Service.objects.create(name=f"Paid shop {number}") for number in range(services)]
    keys = [(service.pk, create_api_key(service.name)) for service in made]
    return Shop(keys, create_payers(environment.size(PAYERS, QUICK_PAYERS)))


def check_ledger() -> None:
    """Run the checker; raise RuntimeError when it finds a violation."""
    seal_ledger.seal_all()
    with snapshot_connection() as reader:
        if found := verify_everything(reader):
            raise RuntimeError(f"{len(found)} violations: {found[:3]}")
    connection.close()


def bench_payments(environment: BenchEnvironment) -> list[Figure]:
    """Pay from wallets of one large credit and from wallets of small ones, alternating with pgbench."""
    return [*bench_one_credit(environment), bench_five_credits(environment)]


def bench_one_credit(environment: BenchEnvironment) -> list[Figure]:
    """Payments of one credit: beside pgbench, as holds with captures, from one wallet, and at one of many services."""
    size = environment.size(PAYMENTS, QUICK_PAYMENTS)
    shop = open_shop(environment, "payments", services=SERVICES)
    fill_wallets(open_payable_pool("Large credits"), len(shop.payers), LARGE_CREDIT)
    with warm_server() as server:
        port = server.port
        environment.undisturbed(lambda: shop.pay(port, size // 10))
        alone = environment.alternate(lambda: shop.pay(port, size), lambda: shop.by_pgbench(size))
        pairs = environment.alternate(lambda: shop.hold_and_capture(port, size // 2), lambda: shop.pay(port, size))
        hot = environment.alternate(
            lambda: shop.pay(port, size // 4, payers=1), lambda: min(RATE_HOT, SHARE_HOT * shop.pay(port, size))
        )
        one = environment.alternate(lambda: shop.pay(port, size), lambda: shop.pay(port, size, services=SERVICES))
    check_ledger()
    what, idle = f"payments of one credit over HTTP, {CONNECTIONS} connections", generator_idle_note(shop.idle)
    return [
        Figure(f"{what}, beside pgbench's", SHARE_OF_ONE, "more", alone, "payments/s", idle),
        Figure("pairs of hold and capture, beside payments", None, "more", pairs, "pairs/s"),
        Figure("payments from one hot wallet, beside 0.3 of those from many, or 200", 1.0, "more", hot, "payments/s"),
        Figure(f"payments at one service, beside {SERVICES}", SHARE_ONE_SERVICE, "more", one, "payments/s"),
    ]


def bench_five_credits(environment: BenchEnvironment) -> Figure:
    """Payments over five credits each, beside pgbench."""
    size = environment.size(PAYMENTS, QUICK_PAYMENTS)
    shop = open_shop(environment, "payments_over_five")
    payments = size * (2 * (environment.rounds + 2) + 1)  # with repeated rounds
    fill_wallets(open_payable_pool("Small credits"), payments * OVER_FIVE // CREDIT, CREDIT)
    with warm_server() as server:
        environment.undisturbed(lambda: shop.pay(server.port, size // 10, OVER_FIVE))
        rates = environment.alternate(lambda: shop.pay(server.port, size, OVER_FIVE), lambda: shop.by_pgbench(size, OVER_FIVE))
    check_ledger()
    what = f"payments over five credits over HTTP, {CONNECTIONS} connections, beside pgbench's"
    return Figure(what, SHARE_OF_FIVE, "more", rates, "payments/s", generator_idle_note(shop.idle))
