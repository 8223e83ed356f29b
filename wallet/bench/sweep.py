"""How fast the sweep is on few and on many due credits, and what claims beside it feel of it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from wallet import expiry
from wallet.bench import claiming
from wallet.bench.bed import Bed
from wallet.bench.figures import Figure
from wallet.bench.tables import unguarded
from wallet.proofs.faults.scene import environment
from wallet.proofs.prove import ROOT

MANY, QUICK_MANY = 1_000_000, 40_000
FEW = 10_000
CONSTANT = 0.8  # within 20 %
SECONDS, QUICK_SECONDS = 10, 3
CLOCK = "import django; django.setup(); from wallet import tasks; print('up')\nwhile True: tasks.sweep()"
DUE = """
INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, expires_at, generation, created_at)
SELECT uuidv7(make_interval(secs => s - {count})), 'Due', 10, 'INR', 'AVAILABLE',
    now() - make_interval(secs => (s::bigint * 7919) % {count} + 1), 1, now() - make_interval(days => 90)
FROM generate_series(0, {count} - 1) AS s
"""


def sweep(bed: Bed) -> list[Figure]:
    """Sweep many and few by turns; then claim with the clock's sweep at work and without it, by turns."""
    many = bed.size(MANY, QUICK_MANY)
    rates = bed.alternate(lambda: swept(bed, many), lambda: swept(bed, FEW))
    bed.tell("claims during a sweep")
    beside = claims_beside(bed)
    return [
        Figure(f"rows swept a second with {many:,} due, beside {FEW:,}", CONSTANT, "more", rates, "rows/s"),
        Figure("claims while the clock sweeps, beside claims alone", 0.8, "more", beside, "claims/s"),
    ]


def make_due(count: int) -> None:
    """Make due credits, their expiries spread over the table."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'")
        with unguarded(cursor):
            cursor.execute(DUE.format(count=count))
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    connection.close()


def swept(bed: Bed, count: int) -> float:
    """Sweep a fresh table of so many due credits, as the command does, and return the rows a second."""
    bed.fresh("sweep")
    make_due(count)
    started = time.perf_counter()
    done = expiry.expire_due()
    seconds = time.perf_counter() - started
    if done != count:
        raise RuntimeError(f"{done} of {count} were swept")
    return done / seconds


def claims_beside(bed: Bed) -> list[tuple[float, float]]:
    """Claim for a while with the sweep at work and without."""
    seconds = bed.size(SECONDS, QUICK_SECONDS)
    bed.fresh("beside")
    make_due(bed.size(MANY, QUICK_MANY))
    with claiming.place(rounds=2 * bed.rounds, seconds=seconds) as claims:

        def with_sweep() -> float:
            with sweeping():
                return claims.rate()

        return bed.alternate(with_sweep, claims.rate)


@contextmanager
def sweeping() -> Iterator[None]:
    """Have the clock sweep without end, in a process of its own, as it does."""
    process = subprocess.Popen([sys.executable, "-c", CLOCK], cwd=ROOT, env=environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it is up
        yield
        if process.poll() is not None:
            raise RuntimeError("the sweep ended by itself")
    finally:
        process.terminate()
        process.wait()
