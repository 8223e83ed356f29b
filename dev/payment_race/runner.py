"""The process that runs a race of payments in its scratch database: tables, wallets, clients, verdict."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

from django.db import connections

from dev.payment_race import mutant
from dev.payment_race.client import PaymentClient
from dev.payment_race.fixture import PaymentFixture, create_fixture
from dev.payment_race.http_transport import HttpPayments
from dev.payment_race.plan import PRICE, PaymentPlan
from dev.payment_race.report import PaymentReport, build_report
from dev.payment_race.transport import DirectPayments, PaymentTransport
from dev.race import scratch_database, web_server
from dev.race.race import BARRIER_SECONDS, CONTEXT, run_processes
from dev.race.runner import make_tables, print_progress
from wallet.actions import seal_ledger
from wallet.verification import claim_log
from wallet.verification.checker import snapshot_connection, verify_everything
from wallet.verification.payment_log import PaymentAttempt, payment_log_violations, read_payment_log


@dataclass(frozen=True)
class PaymentRace:
    """The data that all clients share."""

    plan: PaymentPlan
    fixture: PaymentFixture
    connect: Callable[[], PaymentTransport]
    barrier: Barrier


class RacingPayer(PaymentClient):
    """One thread of the race with one connection."""

    def __init__(self, race: PaymentRace, number: int) -> None:
        super().__init__(race.connect(), number, race.plan.seed)
        self.race = race

    def run(self) -> None:
        """Send this client's requests of every round."""
        plan, fixture = self.race.plan, self.race.fixture
        for user in fixture.emptied:
            self.wait()
            for _ in range(plan.tries):
                self.pay(user, PRICE, capture=True)
        self.wait()
        for _ in range(plan.orders):
            self.whole_order(self.random.choice(fixture.shared))

    def wait(self) -> None:
        """Wait until all clients are ready."""
        self.race.barrier.wait(BARRIER_SECONDS)
        if self.number == 0:
            print_progress("round")


def run_race(plan: PaymentPlan, folder: Path) -> PaymentReport:
    """Run the race and return its report; the log is written to `folder`. Raises Refusal."""
    scratch_database.require_scratch_database()
    make_tables()
    fixture = create_fixture(plan)
    if plan.without_lock:
        mutant.remove_guards()
    # Forks must not share a connection.
    connections.close_all()
    with transport_factory(plan, fixture) as connect:
        log = run_clients(plan, fixture, connect, folder)
    claim_log.write_log(folder / "attempts.jsonl", log)
    print_progress("verifying")
    seal_ledger.seal_all()
    with snapshot_connection() as reader:
        violations = [*verify_everything(reader), *payment_log_violations(reader, log)]
    return build_report(plan, fixture, log, violations)


@contextmanager
def transport_factory(plan: PaymentPlan, fixture: PaymentFixture) -> Iterator[Callable[[], PaymentTransport]]:
    """Yield a function that opens a transport of the plan's kind."""
    if plan.http:
        with web_server.web_server() as serving:
            yield partial(HttpPayments, serving.port, fixture.api_key)
    else:
        yield partial(mutant.UnlockedPayments if plan.without_lock else DirectPayments, fixture.service)


def run_clients(
    plan: PaymentPlan, fixture: PaymentFixture, connect: Callable[[], PaymentTransport], folder: Path
) -> list[PaymentAttempt]:
    """Run all clients and return their attempts."""
    race = PaymentRace(plan, fixture, connect, CONTEXT.Barrier(plan.connections))
    files = run_processes(plan.connections, race.barrier, partial(RacingPayer, race), folder)
    return sorted((attempt for file in files for attempt in read_payment_log(file)), key=lambda attempt: attempt.started)
