"""The sweep of ended credits: rows a second, and claims and payments beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from dev.bench.claims_http import warm_server
from dev.bench.environment import BenchEnvironment
from dev.bench.large_tables import claims_server
from dev.bench.payments import LARGE_CREDIT, PAYMENTS, QUICK_PAYMENTS, Shop, open_shop
from dev.bench.results import Figure
from dev.bench.tables import rules_lifted
from dev.bench.wallets import create_payers, fill_wallets, number_payers, open_payable_pool
from dev.chaos.experiment import web_environment
from dev.race.launch import ROOT
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.verification.checker import fetch_rows, snapshot_connection

MANY, QUICK_MANY = 1_000_000, 20_000
WALLETS, QUICK_WALLETS = 20_000, 1_000
BESIDE = 0.8
SECONDS, QUICK_SECONDS = 10, 3
OPEN = "SELECT count(*) FROM ledger_lot WHERE is_open AND spendable_until IS NOT NULL"
END_NOW = "UPDATE ledger_lot SET spendable_until = now() - interval '1 second' WHERE spendable_until IS NOT NULL"
SWEEPER = """
import time, django
django.setup()
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.tasks import WALLETS_REST
print('up', flush=True)
while True:
    lapse_ended_credits(rest=WALLETS_REST)
    time.sleep(0.1)
"""


def bench_lapses(environment: BenchEnvironment) -> list[Figure]:
    """Claim and pay alternately beside the sweep and alone; then sweep the rest."""
    shop = open_shop(environment, "lapses")
    fill_wallets(open_payable_pool("Large credits"), len(shop.payers), LARGE_CREDIT)
    many = environment.size(MANY, QUICK_MANY)
    environment.report_progress(f"making {many:,} credits that end")
    make_ended_credits(many, environment.size(WALLETS, QUICK_WALLETS))
    number_payers(shop.payers)
    claims, payments = rates_beside_sweep(environment, shop)
    left, started = count_open(), time.perf_counter()
    lapse_ended_credits()
    rate = (left - count_open()) / (time.perf_counter() - started)
    return [
        Figure("claims while credits lapse, beside claims alone", BESIDE, "more", claims, "claims/s"),
        Figure("payments while credits lapse, beside payments alone", BESIDE, "more", payments, "payments/s"),
        Figure(f"credits lapsed a second, the last {left:,} of {many:,}", None, "more", [(rate, 0.0)], "rows/s"),
    ]


def rates_beside_sweep(
    environment: BenchEnvironment, shop: Shop
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return the rates of claims, and those of payments, beside the sweep and alone."""
    size = environment.size(PAYMENTS, QUICK_PAYMENTS)
    with claims_server(rounds=2 * environment.rounds, seconds=environment.size(SECONDS, QUICK_SECONDS)) as claims:

        def claim() -> float:
            with background_sweep():
                return claims.rate()

        of_claims = environment.alternate(claim, claims.rate)
    with warm_server() as server:

        def pay() -> float:
            with background_sweep():
                return shop.pay(server.port, size)

        return of_claims, environment.alternate(pay, lambda: shop.pay(server.port, size))


def make_ended_credits(count: int, wallets: int) -> None:
    """Claim so many credits and move their end, which no statement may do otherwise, into the past."""
    create_payers(wallets, "late")
    fill_wallets(open_payable_pool("Ending", valid_for="2 hours"), count, 10)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        with rules_lifted(cursor):
            cursor.execute(END_NOW)
        cursor.execute("VACUUM (ANALYZE) ledger_lot")
    connection.close()


def count_open() -> int:
    """Return how many credits with an end are open."""
    with snapshot_connection() as reader:
        return int(fetch_rows(reader, OPEN)[0][0])


@contextmanager
def background_sweep() -> Iterator[None]:
    """Write lapses down continuously in another process."""
    process = subprocess.Popen([sys.executable, "-c", SWEEPER], cwd=ROOT, env=web_environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it is up
        yield
        if process.poll() is not None:
            raise RuntimeError("the sweeping process exited")
    finally:
        process.terminate()
        process.wait()
