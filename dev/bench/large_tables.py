"""Claims over HTTP by many users at once, of assets from everywhere in the table; and what a large table costs them."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from django.db import connection

from accounts.models import User
from accounts.tokens import issue_pair
from dev.bench import load
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.bench.tables import LARGE, QUICK_LARGE, SMALL
from dev.chaos.experiment import web_environment
from dev.race import web_server
from wallet.verification.checker import fetch_rows, snapshot_connection

CAMPAIGN = 100_000  # assets issued on top of both, so that a small table does not run dry
KEPT = 0.9
SECONDS, QUICK_SECONDS = 10, 3
CONNECTIONS, USERS = 32, 1_000
MOST_A_SECOND = 4_000
TARGETS = """
SELECT id FROM assets_cashbackasset WHERE status = 'AVAILABLE' AND (expires_at IS NULL OR expires_at > now() + interval '1 day')
ORDER BY random() LIMIT %s
"""
CAMPAIGN_ROWS = """
INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, created_at)
SELECT uuidv7(), 'Campaign', 25.50, 'INR', 'AVAILABLE', 1, now() FROM generate_series(1, %s)
"""


@dataclass(frozen=True)
class Claims:
    """Requests that wait to be sent: each claims an asset of its own, the users taking turns."""

    port: int
    requests: Iterator[bytes]
    seconds: float

    def rate(self) -> float:
        """Send requests for a while and return how many claims a second there were; raise RuntimeError unless all are right."""
        before = self.entries()
        run = load.send_all(self.port, self.sent(), CONNECTIONS)
        made = sum(answer.status == 201 for answer in run.responses)
        if made != len(run.responses) or made != self.entries() - before:
            strange = {answer.status for answer in run.responses}
            raise RuntimeError(
                f"{len(run.responses)} asked, {made} claimed, {self.entries() - before} entries; answers: {strange}"
            )
        return run.rate

    def sent(self) -> Iterator[bytes]:
        """Yield requests until the time is over."""
        end = time.perf_counter() + self.seconds
        for asked in self.requests:
            yield asked
            if time.perf_counter() > end:
                return

    def entries(self) -> int:
        """Return how many entries the ledger has."""
        with snapshot_connection() as reader:
            return int(fetch_rows(reader, "SELECT count(*) FROM ledger_entry")[0][0])


@contextmanager
def claims_server(rounds: int, seconds: float) -> Iterator[Claims]:
    """Serve this process's database, and yield claims for so many rounds."""
    users = User.objects.bulk_create(User(email=f"claimer{number}@example.com") for number in range(USERS))
    tokens = [issue_pair(user).access for user in users]
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(CAMPAIGN_ROWS, [CAMPAIGN])
        cursor.execute("ANALYZE assets_cashbackasset")
        cursor.execute(TARGETS, [int(MOST_A_SECOND * seconds * (rounds + 1))])
        targets = [str(target) for (target,) in cursor.fetchall()]
    requests = (
        load.build_request("POST", f"/api/v1/assets/{target}/claim/", asker)
        for target, asker in zip(targets, cycle(tokens), strict=False)
    )
    connection.close()
    with web_server.web_server(web_environment(), "--preload") as server:
        claims = Claims(server.port, requests, seconds)
        claims.rate()  # warm
        yield claims


def bench_large_tables(environment: BenchEnvironment) -> list[Figure]:
    """Claim by turns on large and on small tables."""
    seconds = environment.size(SECONDS, QUICK_SECONDS)
    tables = QUICK_LARGE if environment.quick else LARGE
    with contextlib.ExitStack() as stack:
        on = {}
        for name, made in (("large", tables), ("small", SMALL)):
            environment.report_progress(f"making {made.assets:,} assets and {made.entries:,} entries")
            database = environment.filled_database(f"claims_{name}", made)
            on[name] = (database, stack.enter_context(claims_server(environment.rounds, seconds)))

        def rate(name: str) -> float:
            database, claims = on[name]
            with environment.using_database(database):
                return claims.rate()

        rates = environment.alternate(lambda: rate("large"), lambda: rate("small"))
    what = f"claims with {tables.assets:,} assets and {tables.entries:,} entries, beside {SMALL.assets:,} and {SMALL.entries:,}"
    return [Figure(what, KEPT, "more", rates, "claims/s", f"{CONNECTIONS} connections, assets from everywhere in the table")]
