"""Clients that pay during an experiment, in the application's role, and their log of attempts."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from django.db import connections

from dev.chaos.experiment import APP_ROLE
from dev.chaos.load import LoadBroke
from dev.payment_race.client import PaymentClient
from dev.payment_race.fixture import PaymentFixture, create_fixture
from dev.payment_race.plan import PaymentPlan
from dev.payment_race.transport import DirectPayments, PaymentResponse, PaymentTransport
from wallet.verification.checker import Violation, snapshot_connection
from wallet.verification.payment_log import PaymentAttempt, payment_log_violations

CLIENTS = 4
REMEMBERED_ORDERS = 50  # of each client, which it returns when a wallet is empty
CLOSING_TRIES = 200  # of a request that is unanswered: a failover takes seconds
PLAN = PaymentPlan(wallets=3, lots=60, connections=CLIENTS, orders=0, seed=0)


class LoadPayer(PaymentClient):
    """Takes orders through their steps until the load stops, and waits until its last request is answered."""

    def __init__(self, load: "PaymentLoad", number: int) -> None:
        super().__init__(load.connect(), number, load.seed)
        self.load, self.max_tries = load, CLOSING_TRIES
        self.orders: deque[tuple[str, str]] = deque(maxlen=REMEMBERED_ORDERS)  # users and payments

    def run(self) -> None:
        """Make one order after the other."""
        while not self.load.over.is_set():
            self.whole_order(self.random.choice(self.load.fixture.shared))

    def pay(self, user: str, amount: int, *, capture: bool, reference: str = "") -> PaymentResponse:
        """Pay for an order; return earlier orders when the wallet is empty, so that payments go on for as long as the load."""
        response = super().pay(user, amount, capture=capture, reference=reference)
        if response.payment is not None:
            self.orders.append((user, response.payment["id"]))
        elif response.code in ("insufficient_credit", "credit_held"):
            self.return_orders()
        return response

    def return_orders(self) -> None:
        """Release what the remembered orders hold and refund what they captured."""
        while self.orders and not self.load.over.is_set():
            user, payment = self.orders.popleft()
            self.release(user, payment)
            self.refund(user, payment, None, self.new_name())


class PaymentLoad:
    """Concurrent clients, one thread each; a context manager. Enter it after the fixture was created."""

    def __init__(self, fixture: PaymentFixture, seed: int, clients: int = CLIENTS) -> None:
        self.fixture, self.seed = fixture, seed
        self.connect: Callable[[], PaymentTransport] = partial(DirectPayments, fixture.service)
        self.over = threading.Event()
        self.errors: list[BaseException] = []
        self.clients: list[LoadPayer] = []
        self.threads = [threading.Thread(target=self.run_client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "PaymentLoad":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.errors and error is None:
            raise LoadBroke(f"{LoadBroke.detail} {self.errors[0]!r}") from self.errors[0]

    @property
    def log(self) -> list[PaymentAttempt]:
        """The attempts of all clients, by start time."""
        return sorted((attempt for client in self.clients for attempt in client.log), key=lambda attempt: attempt.started)

    def run_client(self, number: int) -> None:
        """Run one client."""
        try:
            with as_application():
                client = LoadPayer(self, number)
                self.clients.append(client)
                client.run()
        except BaseException as error:  # noqa: BLE001  (raised by __exit__)
            self.errors.append(error)


@contextmanager
def as_application() -> Iterator[None]:
    """Have this thread connect in the application's role, as the web does."""
    wrapper = connections["default"]
    owner = wrapper.settings_dict
    wrapper.close()
    wrapper.settings_dict = owner | {"USER": APP_ROLE}
    try:
        yield
    finally:
        wrapper.close()
        wrapper.settings_dict = owner


def create_wallets(wallets: int = PLAN.wallets, lots: int = PLAN.lots) -> PaymentFixture:
    """Create the wallets that a load pays from, and their service."""
    return create_fixture(PaymentPlan(wallets=wallets, lots=lots, connections=CLIENTS, orders=0, seed=0))


def judge_payments(log: list[PaymentAttempt]) -> list[Violation]:
    """I22, and the requests that were never answered or met an error that no fault explains."""
    with snapshot_connection() as reader:
        found = payment_log_violations(reader, log)
    last = {attempt.key: attempt for attempt in log}
    return found + [
        Violation("I22", f"{attempt.id}, {attempt.step} for {attempt.reference}, was never answered: {attempt.code}")
        for attempt in last.values()
        if attempt.outcome == "unknown" or attempt.code in ("busy", "request_in_progress")
    ]
