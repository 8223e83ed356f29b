"""Claims over HTTP: many users at many credits, at one pool, and all at one credit."""

import contextlib
import itertools
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection

from accounts.models import User
from accounts.tokens import issue_pair
from dev.bench import load, pgbench
from dev.bench.environment import DISTURBANCES, BenchEnvironment, RoundDisturbed
from dev.bench.git_revisions import BEFORE, STEPS, checkout, worker_class
from dev.bench.results import Figure
from dev.chaos.experiment import APP_ROLE, web_environment
from dev.race import web_server
from dev.race.fixture import VALUE, issue_credits
from dev.race.launch import ROOT
from wallet.actions import edit_pool, seal_ledger
from wallet.assets.models import CreditPool, PoolKind
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

CONNECTIONS, USERS = 32, 1_000
CLAIMS, QUICK_CLAIMS = 6_000, 500
SHARE_OF_PGBENCH, TIMES_BEFORE = 0.30, 3.5
SHARE_OF_REVISION = 0.97  # of a revision that was chosen to compare with
STAMPEDE_USERS, STAMPEDES, QUICK_STAMPEDES = 500, 10, 2
SHARE_OF_ME, MAX_SECONDS = 0.6, 2.0
# Claims are counted in Redis as in production, without ever reaching the limit.
EVERYTHING_ON = {"RATE_CLAIM": "1000000/m"}
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Campaign:
    """Users with their tokens, pools as they are needed, and the totals that the ledger must show in the end."""

    tokens: Sequence[str]
    issued: dict[tuple[object, str], tuple[int, object]] = field(default_factory=dict)
    claims: int = 0
    idle: float = 1.0

    def open_pool(self, size: int) -> CreditPool:
        """Open a pool with that many credits."""
        pool = edit_pool.open_pool(None, name=f"Pool {len(self.issued)}", kind=PoolKind.PROMOTION, currency="INR")
        issue_credits(pool, size)
        self.issued[pool.pk, "INR"] = (size, size * VALUE)
        connection.close()
        return pool

    def send_claims(
        self, port: int, requests: list[bytes], connections: int, expected: Callable[[Counter[int]], bool]
    ) -> load.LoadResult:
        """Send requests and count the claims.

        Raises RoundDisturbed when some were answered 503, RuntimeError when the statuses are otherwise not as expected.
        """
        with self.recount_when_disturbed():
            result = load.send_all(port, requests, connections)
            statuses = Counter(response.status for response in result.responses)
            if statuses[503]:
                raise RoundDisturbed(f"{statuses[503]} of {statuses.total()} requests answered 503")
        if not expected(statuses):
            raise RuntimeError(f"unexpected statuses: {dict(statuses)}")
        self.claims += statuses[201]
        self.idle = min(self.idle, result.idle)
        return result

    @contextmanager
    def recount_when_disturbed(self) -> Iterator[None]:
        """Take the number of claims from the ledger when some answers were lost: nothing else knows which committed."""
        try:
            yield
        except DISTURBANCES:
            self.claims = Entry.objects.count()
            connection.close()
            raise

    def claim_each(self, port: int, size: int) -> load.LoadResult:
        """Claim every credit of a new pool by its id."""
        targets = self.open_pool(size).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target, token in zip(targets, itertools.cycle(self.tokens), strict=False)
        ]
        connection.close()
        return self.send_claims(port, requests, CONNECTIONS, lambda statuses: statuses == {201: size})

    def claim_any(self, port: int, size: int) -> load.LoadResult:
        """Claim every credit of a new pool from the pool, each request with a key."""
        path = f"/api/v1/pools/{self.open_pool(size).pk}/claim/"
        requests = [
            load.build_request("POST", path, token, Idempotency_Key=secrets.token_hex(16))
            for token in itertools.islice(itertools.cycle(self.tokens), size)
        ]
        return self.send_claims(port, requests, CONNECTIONS, lambda statuses: statuses == {201: size})

    def stampede(self, port: int, credits_: int) -> load.LoadResult:
        """Have 500 users claim the same credit, one credit after the other."""
        targets = self.open_pool(credits_).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target in targets
            for token in self.tokens[:STAMPEDE_USERS]
        ]
        connection.close()
        right = {201: credits_, 409: credits_ * (STAMPEDE_USERS - 1)}
        return self.send_claims(port, requests, STAMPEDE_USERS, lambda statuses: statuses == right)

    def me(self, port: int, count: int) -> load.LoadResult:
        """Send GET auth/me/ as the same 500 users."""
        tokens = itertools.islice(itertools.cycle(self.tokens[:STAMPEDE_USERS]), count)
        requests = [load.build_request("GET", "/api/v1/auth/me/", token) for token in tokens]
        return load.send_all(port, requests, STAMPEDE_USERS)

    def by_pgbench(self, script: str, size: int) -> float:
        """Claim the credits of a new pool with pgbench, and return the claims a second."""
        size -= size % CONNECTIONS  # each of its clients makes as many
        rate = pgbench.claims_a_second(script, self.open_pool(size), size, CONNECTIONS)
        self.claims += size
        return rate

    def check(self) -> None:
        """Run the checker over all claims; raise RuntimeError when it finds a violation."""
        pgbench.delete_keys()
        seal_ledger.seal_all()
        with snapshot_connection() as reader:
            found = verify_everything(reader, None, self.issued)  # type: ignore[arg-type]
            with reader.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM ledger_entry")
                entries = cursor.fetchone()[0]
        if found or entries != self.claims:
            raise RuntimeError(f"{entries} entries, {self.claims} claims; {found[:3]}")


def create_campaign(environment: BenchEnvironment) -> Campaign:
    """Make a fresh database with users in it."""
    environment.fresh_database("claims")
    users = User.objects.bulk_create(User(email=f"claimer{number}@example.com") for number in range(USERS))
    return Campaign([issue_pair(user).access for user in users])


@contextmanager
def warm_server(home: Path = ROOT) -> Iterator[web_server.Web]:
    """Serve this process's database with the code in `home`, with rate limits in Redis."""
    # The keys of this process: an earlier revision elsewhere would make its own.
    keys = {name: getattr(settings, name) for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "SEAL_SIGNING_KEY")}
    worker = []
    if home != ROOT:
        worker = ["--worker-class", worker_class(home)]
        # The earliest code names every column of an entry.
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT INSERT ON ledger_entry TO {APP_ROLE}")
        connection.close()
    with web_server.web_server(web_environment(**EVERYTHING_ON, **keys), "--preload", *worker, home=home) as server:
        yield server


@contextmanager
def baseline_server(environment: BenchEnvironment) -> Iterator[web_server.Web]:
    """Serve this process's database with the revision to compare with."""
    with checkout(environment.baseline) as home, warm_server(home) as server:
        yield server


def cpu_seconds(server: web_server.Web) -> float:
    """Return the CPU seconds of the web's processes so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in server.workers()]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS


def bench_claims(environment: BenchEnvironment) -> list[Figure]:
    """Claim distinct credits, alternating with pgbench and with the code before."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    with warm_server() as now, baseline_server(environment) as old:
        for server in (now, old):
            campaign.claim_each(server.port, size // 10)
        to_pgbench = environment.alternate(
            lambda: campaign.claim_each(now.port, size).rate, lambda: campaign.by_pgbench(pgbench.CLAIM, size)
        )
        to_before = environment.alternate(
            lambda: campaign.claim_each(now.port, size).rate, lambda: campaign.claim_each(old.port, size).rate
        )
    campaign.check()
    what = f"claims of distinct credits over HTTP, {CONNECTIONS} connections, everything on"
    return [
        Figure(f"{what}, beside pgbench's", SHARE_OF_PGBENCH, "more", to_pgbench, "claims/s", generator_idle(campaign)),
        compare_with_baseline(environment, what, to_before, "claims/s", TIMES_BEFORE),
    ]


def compare_with_baseline(
    environment: BenchEnvironment,
    what: str,
    rates: list[tuple[float, float]],
    unit: str,
    target: float = SHARE_OF_REVISION,
) -> Figure:
    """Return the figure of today's code beside the revision to compare with; `target` is that of the default revision."""
    chosen = SHARE_OF_REVISION if environment.before else target
    return Figure(f"{what}, beside the code before", chosen, "more", rates, unit, f"commit {environment.baseline}")


def bench_hot_pool(environment: BenchEnvironment) -> list[Figure]:
    """Claim any credit of one pool, alternating with pgbench."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    what = f"claims of any credit of one pool, {CONNECTIONS} connections, each with its key"
    compared = []
    with warm_server() as now:
        campaign.claim_any(now.port, size // 10)
        rates = environment.alternate(
            lambda: campaign.claim_any(now.port, size).rate, lambda: campaign.by_pgbench(pgbench.CLAIM_ANY, size)
        )
        if environment.before:
            with baseline_server(environment) as old:
                campaign.claim_any(old.port, size // 10)
                to_before = environment.alternate(
                    lambda: campaign.claim_any(now.port, size).rate, lambda: campaign.claim_any(old.port, size).rate
                )
            compared = [compare_with_baseline(environment, what, to_before, "claims/s")]
    campaign.check()
    return [
        Figure(f"{what}, beside pgbench's", SHARE_OF_PGBENCH, "more", rates, "claims/s", generator_idle(campaign)),
        *compared,
    ]


def bench_stampede(environment: BenchEnvironment) -> list[Figure]:
    """Have 500 users claim one credit after the other, alternating with as many harmless requests."""
    count = environment.size(STAMPEDES, QUICK_STAMPEDES)
    campaign = create_campaign(environment)
    what = f"{STAMPEDE_USERS} users at one credit"
    compared = []
    with warm_server() as now:
        campaign.me(now.port, STAMPEDE_USERS)
        runs = environment.alternate(
            lambda: campaign.stampede(now.port, count), lambda: campaign.me(now.port, count * STAMPEDE_USERS)
        )
        if environment.before:
            with baseline_server(environment) as old:
                campaign.stampede(old.port, 1)
                to_before = environment.alternate(
                    lambda: campaign.stampede(now.port, count).rate, lambda: campaign.stampede(old.port, count).rate
                )
            compared = [compare_with_baseline(environment, f"{what}, answers", to_before, "answers/s")]
    campaign.check()
    rates = [(claims.rate, harmless.rate) for claims, harmless in runs]
    slowest = [(claims.slowest(), MAX_SECONDS) for claims, _ in runs]
    note = f"{count} credits a round; each time one answer 201 and {STAMPEDE_USERS - 1} answers 409"
    return [
        Figure(f"{what}, answers beside GET auth/me/", SHARE_OF_ME, "more", rates, "answers/s", note),
        Figure("p99 of these answers, beside 2 s", 1.0, "less", slowest, "s"),
        *compared,
    ]


def bench_steps(environment: BenchEnvironment) -> list[Figure]:
    """Measure the CPU that a claim costs the web's processes, after each step that reduced it."""
    size = environment.size(CLAIMS // 2, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    costs: dict[str, list[float]] = {commit: [] for commit in [*STEPS, "today"]}
    with contextlib.ExitStack() as stack:
        servers = {commit: stack.enter_context(warm_server(stack.enter_context(checkout(commit)))) for commit in STEPS}
        servers["today"] = stack.enter_context(warm_server())
        for server in servers.values():
            campaign.claim_each(server.port, size // 10)

        def measure_all() -> dict[str, float]:
            return {commit: cpu_milliseconds(campaign, server, size) for commit, server in servers.items()}

        for number in range(environment.rounds):
            environment.report_progress(f"round {number + 1} of {environment.rounds}")
            for commit, cost in environment.undisturbed(measure_all).items():
                costs[commit].append(cost)
    campaign.check()
    what = {**STEPS, "today": "today"}
    return [
        Figure(
            f"CPU of a claim in Python: {what[commit]}", 1.0, "less", list(zip(cost, costs[BEFORE], strict=True)), "ms", commit
        )
        for commit, cost in costs.items()
    ]


def cpu_milliseconds(campaign: Campaign, server: web_server.Web, size: int) -> float:
    """Return the milliseconds of CPU that a claim costs the web's processes."""
    before = cpu_seconds(server)
    campaign.claim_each(server.port, size)
    return (cpu_seconds(server) - before) / size * 1000


def generator_idle(campaign: Campaign) -> str:
    """Return a note with the share of time in which the load generator was idle."""
    return f"the load generator idled {campaign.idle:.0%} of the time or more"
