"""The sweep of few and of many due credits, and claims during a sweep."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from dev.bench import large_tables
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.bench.tables import rules_lifted
from dev.chaos.experiment import web_environment
from dev.race.launch import ROOT
from wallet.actions import expire_assets

MANY, QUICK_MANY = 1_000_000, 40_000
FEW = 10_000
CONSTANT = 0.8  # within 20 %
SECONDS, QUICK_SECONDS = 10, 3
SWEEPER = "import django; django.setup(); from wallet import tasks; print('up')\nwhile True: tasks.sweep()"
DUE = """
INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, expires_at, generation, created_at)
SELECT uuidv7(make_interval(secs => s - {count})), 'Due', 10, 'INR', 'AVAILABLE',
    now() - make_interval(secs => (s::bigint * 7919) % {count} + 1), 1, now() - make_interval(days => 90)
FROM generate_series(0, {count} - 1) AS s
"""


def bench_sweep(environment: BenchEnvironment) -> list[Figure]:
    """Sweep many and few credits alternately; then claim alternately during a sweep and without one."""
    many = environment.size(MANY, QUICK_MANY)
    rates = environment.alternate(lambda: sweep_rate(environment, many), lambda: sweep_rate(environment, FEW))
    environment.report_progress("claims during a sweep")
    during = rates_during_sweep(environment)
    return [
        Figure(f"rows swept a second with {many:,} due, beside {FEW:,}", CONSTANT, "more", rates, "rows/s"),
        Figure("claims during a sweep, beside claims alone", 0.8, "more", during, "claims/s"),
    ]


def make_due(count: int) -> None:
    """Insert due credits, with their expiries spread over the table."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'")
        with rules_lifted(cursor):
            cursor.execute(DUE.format(count=count))
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    connection.close()


def sweep_rate(environment: BenchEnvironment, count: int) -> float:
    """Sweep a fresh table of so many due credits, as the command does, and return the rows a second."""
    environment.fresh_database("sweep")
    make_due(count)
    started = time.perf_counter()
    done = expire_assets.expire_due()
    seconds = time.perf_counter() - started
    if done != count:
        raise RuntimeError(f"{done} of {count} were swept")
    return done / seconds


def rates_during_sweep(environment: BenchEnvironment) -> list[tuple[float, float]]:
    """Claim alternately during a sweep and without one."""
    seconds = environment.size(SECONDS, QUICK_SECONDS)
    environment.fresh_database("beside")
    make_due(environment.size(MANY, QUICK_MANY))
    with large_tables.claims_server(rounds=2 * environment.rounds, seconds=seconds) as claims:

        def with_sweep() -> float:
            with background_sweep():
                return claims.rate()

        return environment.alternate(with_sweep, claims.rate)


@contextmanager
def background_sweep() -> Iterator[None]:
    """Sweep continuously in another process, as the scheduler does."""
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
