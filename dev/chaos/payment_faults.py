"""Faults while clients pay: lost replies to COMMIT, and everything at once: kills, failover, claims, lapses and seals."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, fresh_database, judge_run
from dev.chaos.network_faults import before_postgres
from dev.chaos.payment_load import PaymentLoad, as_application, create_wallets, judge_payments
from dev.chaos.payment_races import NO_CLAIMS
from dev.chaos.postgres_faults import fail_over, use_socket
from dev.chaos.session_faults import VICTIM, connection_parameters
from dev.race.fixture import RaceFixture
from kernel.refusals import Refusal
from wallet.actions.end_holds import end_due_holds
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.assets.models import CreditPool
from wallet.verification.checker import Violation

SHARE = 0.1  # of the replies to COMMIT
CLIENTS = 8
SWEEP_SECONDS, KILL_SECONDS = 0.5, 0.3
VALID_SECONDS = 2  # of the claims made meanwhile, so that they lapse


def lose_payment_commits(experiment: Experiment) -> Outcome:
    """T33: one reply to COMMIT in ten is lost; clients ask again with the same key, and with a fresh key for the same order."""
    fresh_database(experiment)
    fixture = create_wallets()
    with before_postgres(experiment, SHARE) as (proxy, _), use_socket(experiment.servers.instance.folder / "wire"):
        with PaymentLoad(fixture, experiment.seed, CLIENTS) as load:
            time.sleep(experiment.seconds)
        cuts, proxy.share = proxy.cuts, 0
        found = judge_payments(load.log)
    outcome = judge_run([], NO_CLAIMS, cuts, experiment.least, more=found)
    return outcome.with_note(f"{len(load.log):,} requests of payments")


def everything_at_once(experiment: Experiment) -> Outcome:
    """T36: claims, payments, lapses and seals together, while sessions are terminated and primaries lost."""
    return fail_over(experiment, payments_beside)


@contextmanager
def payments_beside(experiment: Experiment, fixture: RaceFixture) -> Iterator[list[Violation]]:
    """Pay, sweep and terminate sessions until the end; then add what is wrong to the list that is yielded."""
    CreditPool.objects.filter(pk=fixture.pool).update(valid_for=f"{VALID_SECONDS} seconds")
    wallets, over, found = create_wallets(), threading.Event(), list[Violation]()
    threads = [threading.Thread(target=work, args=(over,)) for work in (sweep, terminate_sessions)]
    with PaymentLoad(wallets, experiment.seed) as load:
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            over.set()
            for thread in threads:
                thread.join()
    found += judge_payments(load.log)


def sweep(over: threading.Event) -> None:
    """Write down the ends of holds and credits, as the scheduler does, whatever fails."""
    with as_application():
        while not over.wait(SWEEP_SECONDS):
            with contextlib.suppress(Refusal, DatabaseError, InterfaceError):
                end_due_holds()
                lapse_ended_credits()


def terminate_sessions(over: threading.Event) -> None:
    """Terminate sessions of the application, when there is a primary."""
    while not over.wait(KILL_SECONDS):
        with contextlib.suppress(psycopg.Error), psycopg.connect(**connection_parameters(), autocommit=True) as killer:
            killer.execute(VICTIM, [APP_ROLE])
    connection.close()
