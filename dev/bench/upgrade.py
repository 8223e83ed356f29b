"""The upgrade of a ledger from before there were lots: they are opened in batches while claims go on, and payments wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import connection

from dev.bench.environment import BenchEnvironment
from dev.bench.large_tables import claims_server
from dev.bench.results import Figure
from dev.bench.tables import Tables
from wallet.actions.open_lots import BATCH_SIZE, open_batch, open_lots
from wallet.verification.checker import fetch_rows, snapshot_connection

LARGE = Tables(2_500_000, 2_000_000, people=20_000, lots=False)
QUICK = Tables(60_000, 40_000, people=1_000, lots=False)
SECONDS, QUICK_SECONDS = 10, 3
BESIDE = 0.8
REST = 1.0  # as the scheduler does: as long a pause as a batch took
WITHOUT_LOT = """
SELECT count(*) FROM ledger_entry AS entry WHERE NOT EXISTS (SELECT FROM ledger_lot AS lot WHERE lot.entry_id = entry.id)
"""


def bench_upgrade(environment: BenchEnvironment) -> list[Figure]:
    """Claim alternately while lots are opened and while they are not; then open the rest, and check that each claim has one."""
    tables = QUICK if environment.quick else LARGE
    environment.report_progress(f"making {tables.entries:,} claims without lots")
    environment.fresh_database("upgrade")
    tables.fill()
    began = opened()
    with claims_server(rounds=2 * environment.rounds, seconds=environment.size(SECONDS, QUICK_SECONDS)) as claims:

        def beside() -> float:
            with opening():
                return claims.rate()

        rates = environment.alternate(beside, claims.rate)
    meanwhile = opened() - began
    started = time.perf_counter()
    open_lots()
    seconds = time.perf_counter() - started
    rest = opened() - began - meanwhile
    if missing := count(WITHOUT_LOT):
        raise RuntimeError(f"{missing} claims have no lot")
    note = f"{meanwhile:,} lots opened beside claims, the other {rest:,} in {seconds:.1f} s"
    return [
        Figure(
            f"claims while lots of {tables.entries:,} earlier claims are opened, beside claims alone",
            BESIDE,
            "more",
            rates,
            "claims/s",
            note,
        ),
        Figure("lots opened a second, without a pause", None, "more", [(rest / seconds, 0.0)], "rows/s"),
    ]


def opened() -> int:
    """Return how many lots of earlier claims were opened."""
    return count("SELECT opened FROM ledger_lotbackfill")


def count(sql: str) -> int:
    """Return the number that a statement selects, read in a snapshot without time limit."""
    with snapshot_connection() as reader:
        return int(fetch_rows(reader, sql)[0][0])


@contextmanager
def opening() -> Iterator[None]:
    """Open lots in another thread, with the scheduler's pauses."""
    over = Event()

    def work() -> None:
        while not over.is_set():
            begun = time.monotonic()
            if open_batch(BATCH_SIZE) is None:
                break
            over.wait(REST * (time.monotonic() - begun))
        connection.close()

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
