"""Races of payments, each repeated until the time is over: wallets emptied, release against capture, ending holds, refunds."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count
from threading import Barrier
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import Role, User
from accounts.services import Service
from dev.chaos.experiment import Experiment, Outcome, fresh_database, judge_run
from dev.chaos.payment_load import as_application, judge_payments
from dev.payment_race.client import PaymentClient
from dev.payment_race.fixture import fill_wallet
from dev.payment_race.plan import PRICE
from dev.payment_race.transport import CURRENCY, DirectPayments
from dev.race.fixture import RaceFixture
from kernel.transactions import Busy
from kernel.uuid7 import uuid7
from wallet.actions import edit_pool
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.end_holds import end_due_holds
from wallet.assets.models import PoolKind
from wallet.ledger.allocating import Share
from wallet.ledger.models import Lot, Payment
from wallet.ledger.payment_state import payment_body
from wallet.ledger.recording import NewMovement, record
from wallet.verification.checker import Violation
from wallet.verification.payment_log import PaymentAttempt

HOLD: dict[str, Any] = {"amount": 2, "capture": False}
HOLD_SECONDS = 2
NO_CLAIMS = RaceFixture([], [], "", {})
Call = Callable[[PaymentClient], Any]


@dataclass
class Races:
    """A scratch database with a service, and the clients' log of all races so far."""

    seed: int
    service: Service = field(default_factory=lambda: Service.objects.create(name="Shop of the races"))
    clients: list[PaymentClient] = field(default_factory=list)
    holds: list[PaymentAttempt] = field(default_factory=list)
    complaints: list[Violation] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def wallet(self, lots: int) -> str:
        """Fill the wallet of a new user with so many credits of 10 and return the user's id."""
        number = next(self.numbers)
        pool = edit_pool.open_pool(None, name=f"Pool of race {number}", kind=PoolKind.PROMOTION, currency=CURRENCY)
        return fill_wallet(pool, f"racer{number}", lots)

    def at_once(self, calls: Sequence[Call]) -> list[Any]:
        """Make each call with a client of its own, all released by one barrier; return the results."""
        barrier = Barrier(len(calls))

        def run(call: Call) -> Any:
            with as_application():
                client = PaymentClient(DirectPayments(str(self.service.pk)), next(self.numbers), self.seed)
                self.clients.append(client)
                barrier.wait()
                return call(client)

        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(run, calls))

    def expect(self, what: str, found: Any, expected: Any) -> None:
        """Note a violation unless both are equal."""
        if found != expected:
            self.complaints.append(Violation("race", f"{what}: {found}, not {expected}"))


def repeat(experiment: Experiment, race: Callable[[Races], int]) -> Outcome:
    """Run a race until the time is over, which returns how many contests it was, and check everything."""
    fresh_database(experiment)
    races, contests, begun = Races(experiment.seed), 0, time.monotonic()
    while not contests or time.monotonic() - begun < experiment.seconds:
        contests += race(races)
    log = [*races.holds, *(attempt for client in races.clients for attempt in client.log)]
    found = [*races.complaints, *judge_payments(log)]
    outcome = judge_run([], NO_CLAIMS, contests, experiment.least, more=found)
    codes = Counter(attempt.code for attempt in log).most_common()
    return outcome.with_note(f"{len(log):,} requests: {', '.join(f'{count:,} × {code}' for code, count in codes)}")


def empty_wallet(races: Races) -> int:
    """T30: 50 clients spend one wallet of 20 credits to zero."""
    user = races.wallet(20)
    races.at_once([lambda client: [client.pay(user, PRICE, capture=True) for _ in range(2)]] * 50)
    paid = Payment.objects.filter(user_id=user).count()
    races.expect(f"payments from the wallet of user {user}", paid, 200 // PRICE)
    return paid


def release_against_capture(races: Races) -> int:
    """T31: pairs of release and capture at a barrier: one of them wins each payment."""
    user = races.wallet(2)
    payments = [response.payment["id"] for response in races.at_once([partial(PaymentClient.pay, user=user, **HOLD)] * 10)]
    races.at_once(
        [
            partial(step, user=user, payment=payment)
            for payment in payments
            for step in (PaymentClient.capture, PaymentClient.release)
        ]
    )
    for row in Payment.objects.filter(user_id=user):
        races.expect(
            f"held of payment {row.pk}, and captured as well as released", (row.held, row.captured * row.released), (0, 0)
        )
    return len(payments)


def end_while_captured(races: Races) -> int:
    """T32: holds end while they are captured, and two sweepers end them: each is captured or ended, once."""
    user = races.wallet(2)
    holds = {short_hold(races, user): time.time() + HOLD_SECONDS for _ in range(10)}
    calls: list[Call] = [partial(capture_near, user=user, payment=payment, ends=ends) for payment, ends in holds.items()]
    races.at_once([*calls, *[partial(sweep, since=min(holds.values()) - 0.1)] * 2])
    end_due_holds()
    for row in Payment.objects.filter(user_id=user):
        races.expect(
            f"held of payment {row.pk}, and captured as well as released", (row.held, row.captured * row.released), (0, 0)
        )
    return len(holds)


def short_hold(races: Races, user: str) -> str:
    """Hold 2 for two seconds, which is less than the actions allow; return the payment's id."""
    lot = Lot.objects.filter(user_id=user, available__gte=2).order_by("opened_at", "entry")[0].pk
    number, began = uuid7(), time.time()
    fields: dict[str, Any] = {"payment_id": number, "reference": str(number), "hold_seconds": HOLD_SECONDS}
    shares = [Share(lot, Decimal(2))]
    with transaction.atomic():
        recorded = record([NewMovement("HOLD", UUID(user), CURRENCY, shares, number, service_id=races.service.pk, **fields)])
    told = payment_body(recorded, recorded[0].at)
    name = f"hold {next(races.numbers)}"
    races.holds.append(PaymentAttempt(name, "hold", user, str(number), name, began, time.time(), "ok", 201, "201", told))
    return str(number)


def capture_near(client: PaymentClient, user: str, payment: str, ends: float) -> None:
    """Capture at a random moment around the end of the hold."""
    time.sleep(max(0.0, ends + client.random.uniform(-0.2, 0.1) - time.time()))
    client.capture(user, payment)


def sweep(_: PaymentClient, since: float) -> None:
    """End holds again and again for a moment."""
    time.sleep(max(0.0, since - time.time()))
    for _number in range(30):
        with contextlib.suppress(Busy):
            end_due_holds()
        time.sleep(0.01)


def refund_at_once(races: Races) -> int:
    """T34: 20 clients refund a payment, together more than it captured."""
    user = races.wallet(10)
    (paid,) = races.at_once([partial(PaymentClient.pay, user=user, amount=100, capture=True)])
    payment = paid.payment["id"]
    races.at_once(
        [
            partial(PaymentClient.refund, user=user, payment=payment, amount=7, reference=f"{payment}-{number}")
            for number in range(20)
        ]
    )
    races.expect(f"refunded of payment {payment}", Payment.objects.get(pk=payment).refunded, 98)
    return 20


def clawback_against_spending(races: Races) -> int:
    """T35: credits are clawed back while they are spent: what was not spent is taken, and the rest is due."""
    user, operator = races.wallet(5), User.objects.create(email=f"operator{next(races.numbers)}@example.com", role=Role.ADMIN)
    lots = list(Lot.objects.filter(user_id=user))
    calls: list[Call] = [partial(PaymentClient.pay, user=user, amount=6, capture=True)] * 8
    races.at_once([*calls, *(partial(claw_back, lot=lot.pk, operator=operator) for lot in lots)])
    for lot in Lot.objects.filter(user_id=user):
        races.expect(
            f"left of credit {lot.pk}, and taken back or due", (lot.available, lot.clawed_back + lot.clawback_due), (0, 10)
        )
    return len(lots)


def claw_back(client: PaymentClient, lot: UUID, operator: User) -> None:
    """Claw back a claim a moment later, and again while the server is busy."""
    for _ in range(100):
        time.sleep(client.random.uniform(0, 0.1))
        with contextlib.suppress(Busy):
            clawback_credit(lot, actor=operator, reason="fraud")
            return


def hot_wallet(races: Races) -> int:
    """T37: 32 connections pay from one wallet: each payment is made, and nobody meets an error but busy."""
    user = races.wallet(20)
    races.at_once([lambda client: [client.pay(user, 1, capture=True) for _ in range(5)]] * 32)
    paid = Payment.objects.filter(user_id=user).count()
    races.expect(f"payments from the wallet of user {user}", paid, 160)
    return paid
