"""The claim, as fast as it goes: many users at many credits, at one pool, and all at one credit."""

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
from dev.bench.environment import BenchEnvironment
from dev.bench.git_revisions import BEFORE, STEPS, checkout
from dev.bench.results import Figure
from dev.chaos.experiment import APP_ROLE, web_environment
from dev.race import web_server
from dev.race.fixture import VALUE, issue_credits
from dev.race.launch import ROOT
from wallet.actions import edit_pool, seal_ledger
from wallet.assets.models import CreditPool, PoolKind
from wallet.verification.checker import snapshot_connection, verify_everything

CONNECTIONS, PEOPLE = 32, 1_000
CLAIMS, QUICK_CLAIMS = 6_000, 500
SHARE_OF_PGBENCH, TIMES_BEFORE = 0.30, 3.5
CROWD, STAMPEDES, QUICK_STAMPEDES = 500, 10, 2
SHARE_OF_ME, LONGEST_SECONDS = 0.6, 2.0
# Counted by Redis as ever, but not in anybody's way.
EVERYTHING_ON = {"RATE_CLAIM": "1000000/m"}
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Campaign:
    """People with their tokens, pools as they are needed, and how much was issued in all."""

    tokens: Sequence[str]
    issued: dict[tuple[object, str], tuple[int, object]] = field(default_factory=dict)
    answered: int = 0
    idle: float = 1.0

    def pool(self, size: int) -> CreditPool:
        """Open a pool with so many credits."""
        pool = edit_pool.open_pool(None, name=f"Pool {len(self.issued)}", kind=PoolKind.PROMOTION, currency="INR")
        issue_credits(pool, size)
        self.issued[pool.pk, "INR"] = (size, size * VALUE)
        connection.close()
        return pool

    def asked(self, run: load.LoadResult, expected: Callable[[Counter[int]], bool]) -> load.LoadResult:
        """Keep count of what a run was answered; raise RuntimeError when that was not as expected."""
        statuses = Counter(answer.status for answer in run.responses)
        if not expected(statuses):
            raise RuntimeError(f"answered {dict(statuses)}")
        self.answered += statuses[201]
        self.idle = min(self.idle, run.idle)
        return run

    def claim_each(self, port: int, size: int) -> load.LoadResult:
        """Claim every credit of a new pool by its id."""
        targets = self.pool(size).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target, token in zip(targets, itertools.cycle(self.tokens), strict=False)
        ]
        connection.close()
        return self.asked(load.send_all(port, requests, CONNECTIONS), lambda statuses: statuses == {201: size})

    def claim_any(self, port: int, size: int) -> load.LoadResult:
        """Claim every credit of a new pool, whichever comes, each request with a key."""
        path = f"/api/v1/pools/{self.pool(size).pk}/claim/"
        requests = [
            load.build_request("POST", path, token, Idempotency_Key=secrets.token_hex(16))
            for token in itertools.islice(itertools.cycle(self.tokens), size)
        ]
        return self.asked(load.send_all(port, requests, CONNECTIONS), lambda statuses: statuses == {201: size})

    def stampede(self, port: int, credits_: int) -> load.LoadResult:
        """Let the crowd at one credit after the other."""
        targets = self.pool(credits_).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target in targets
            for token in self.tokens[:CROWD]
        ]
        connection.close()
        right = {201: credits_, 409: credits_ * (CROWD - 1)}
        return self.asked(load.send_all(port, requests, CROWD), lambda statuses: statuses == right)

    def me(self, port: int, count: int) -> load.LoadResult:
        """Ask who I am, as the crowd."""
        tokens = itertools.islice(itertools.cycle(self.tokens[:CROWD]), count)
        requests = [load.build_request("GET", "/api/v1/auth/me/", token) for token in tokens]
        return load.send_all(port, requests, CROWD)

    def by_pgbench(self, script: str, size: int) -> float:
        """Let pgbench claim the credits of a new pool, and return how many a second."""
        size -= size % CONNECTIONS  # each of its clients makes as many
        rate = pgbench.claims_a_second(script, self.pool(size), size, CONNECTIONS)
        self.answered += size
        return rate

    def check(self) -> None:
        """Let the checker judge all that was claimed; raise RuntimeError when it finds anything."""
        pgbench.forget_answers()
        seal_ledger.seal_all()
        with snapshot_connection() as reader:
            found = verify_everything(reader, None, self.issued)  # type: ignore[arg-type]
            with reader.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM ledger_entry")
                entries = cursor.fetchone()[0]
        if found or entries != self.answered:
            raise RuntimeError(f"{entries} entries, {self.answered} answered; {found[:3]}")


def create_campaign(environment: BenchEnvironment) -> Campaign:
    """Make a fresh database with people in it."""
    environment.fresh("hot")
    people = User.objects.bulk_create(User(email=f"claimer{number}@example.com") for number in range(PEOPLE))
    return Campaign([issue_pair(person).access for person in people])


@contextmanager
def warm_server(home: Path = ROOT) -> Iterator[web_server.Web]:
    """Serve this process's database with the code in `home`, everything on, warm."""
    # The keys of this process, for a copy of the code elsewhere would make its own.
    keys = {name: getattr(settings, name) for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "SEAL_SIGNING_KEY")}
    worker = []
    if home != ROOT:
        # The earliest code was served by gunicorn's own worker, and named an entry's every column.
        worker = [] if (home / "cashback/gunicorn_worker/worker.py").exists() else ["--worker-class", "gthread"]
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT INSERT ON ledger_entry TO {APP_ROLE}")
        connection.close()
    with web_server.web_server(web_environment(**EVERYTHING_ON, **keys), "--preload", *worker, home=home) as server:
        yield server


def cpu_seconds(server: web_server.Web) -> float:
    """Return the seconds that the web's processes have computed."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in server.workers()]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def bench_claims(environment: BenchEnvironment) -> list[Figure]:
    """Claim distinct credits by turns with pgbench, and with the code as it was."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    here = create_campaign(environment)
    with contextlib.ExitStack() as stack:
        now = stack.enter_context(warm_server())
        old = stack.enter_context(warm_server(stack.enter_context(checkout(BEFORE))))
        for server in (now, old):
            here.claim_each(server.port, size // 10)
        to_pgbench = environment.alternate(
            lambda: here.claim_each(now.port, size).rate, lambda: here.by_pgbench(pgbench.CLAIM, size)
        )
        to_before = environment.alternate(
            lambda: here.claim_each(now.port, size).rate, lambda: here.claim_each(old.port, size).rate
        )
    here.check()
    what = f"claims of distinct credits over HTTP, {CONNECTIONS} connections, everything on"
    return [
        Figure(f"{what}, beside pgbench's", SHARE_OF_PGBENCH, "more", to_pgbench, "claims/s", generator_idle(here)),
        Figure(f"{what}, beside the code before", TIMES_BEFORE, "more", to_before, "claims/s", f"commit {BEFORE}"),
    ]


def bench_hot_pool(environment: BenchEnvironment) -> list[Figure]:
    """Claim whatever comes of one pool by turns with pgbench."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    here = create_campaign(environment)
    with warm_server() as server:
        here.claim_any(server.port, size // 10)
        rates = environment.alternate(
            lambda: here.claim_any(server.port, size).rate, lambda: here.by_pgbench(pgbench.CLAIM_ANY, size)
        )
    here.check()
    what = f"claims of any credit of one pool, {CONNECTIONS} connections, each with its key, beside pgbench's"
    return [Figure(what, SHARE_OF_PGBENCH, "more", rates, "claims/s", generator_idle(here))]


def bench_stampede(environment: BenchEnvironment) -> list[Figure]:
    """Let a crowd at one credit after the other, by turns with as many harmless questions."""
    count = environment.size(STAMPEDES, QUICK_STAMPEDES)
    here = create_campaign(environment)
    slowest: list[tuple[float, float]] = []

    def measured() -> float:
        run = here.stampede(server.port, count)
        slowest.append((run.slowest(), LONGEST_SECONDS))
        return run.rate

    with warm_server() as server:
        here.me(server.port, CROWD)
        rates = environment.alternate(measured, lambda: here.me(server.port, count * CROWD).rate)
    here.check()
    note = f"{count} credits a round; each time one answer 201 and {CROWD - 1} answers 409"
    return [
        Figure(f"{CROWD} users at one credit, answers beside GET auth/me/", SHARE_OF_ME, "more", rates, "answers/s", note),
        Figure("p99 of these answers, beside 2 s", 1.0, "less", slowest, "s"),
    ]


def bench_steps(environment: BenchEnvironment) -> list[Figure]:
    """Ask for the CPU that a claim costs the web's processes, after each step that made it less."""
    size = environment.size(CLAIMS // 2, QUICK_CLAIMS)
    here = create_campaign(environment)
    costs: dict[str, list[float]] = {commit: [] for commit in [*STEPS, "today"]}
    with contextlib.ExitStack() as stack:
        servers = {commit: stack.enter_context(warm_server(stack.enter_context(checkout(commit)))) for commit in STEPS}
        servers["today"] = stack.enter_context(warm_server())
        for server in servers.values():
            here.claim_each(server.port, size // 10)
        for number in range(environment.rounds):
            environment.tell(f"round {number + 1} of {environment.rounds}")
            for commit, server in servers.items():
                before = cpu_seconds(server)
                here.claim_each(server.port, size)
                costs[commit].append((cpu_seconds(server) - before) / size * 1000)
    here.check()
    what = {**STEPS, "today": "today"}
    return [
        Figure(
            f"CPU of a claim in Python: {what[commit]}", 1.0, "less", list(zip(cost, costs[BEFORE], strict=True)), "ms", commit
        )
        for commit, cost in costs.items()
    ]


def generator_idle(here: Campaign) -> str:
    """Say how much of its time the load generator had nothing to do."""
    return f"the load generator idled {here.idle:.0%} of the time or more"
