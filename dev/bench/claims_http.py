"""Claims over HTTP: many users at many credits, at one pool, and all at one credit."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from django.conf import settings
from django.db import connection

from dev.bench import pgbench
from dev.bench.campaign import CONNECTIONS, STAMPEDE_USERS, Campaign, create_campaign
from dev.bench.cpu import Load, measure_load
from dev.bench.environment import BenchEnvironment
from dev.bench.git_revisions import BEFORE, STEPS, checkout, worker_class
from dev.bench.results import Figure
from dev.chaos.experiment import APP_ROLE, web_environment
from dev.race import web_server
from dev.race.launch import ROOT

CLAIMS, QUICK_CLAIMS = 6_000, 500
SHARE_OF_PGBENCH, TIMES_BEFORE = 0.30, 3.5
SHARE_OF_REVISION = 0.97  # of a revision that was chosen to compare with
STAMPEDES, QUICK_STAMPEDES = 10, 2
SHARE_OF_ME, MAX_SECONDS = 0.6, 2.0
# Claims and payments are counted in Redis as in production, without ever reaching the limit.
EVERYTHING_ON = {"RATE_CLAIM": "1000000/m", "RATE_SERVICE_PAYMENT": "1000000/m"}


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


def bench_claims(environment: BenchEnvironment) -> list[Figure]:
    """Claim distinct credits, alternating with pgbench and with the code before."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    with warm_server() as now, baseline_server(environment) as old:
        environment.undisturbed(lambda: [campaign.claim_each(server.port, size // 10) for server in (now, old)])
        to_pgbench = environment.alternate(
            lambda: campaign.claim_each(now.port, size).rate, lambda: campaign.by_pgbench(pgbench.CLAIM, size)
        )
        to_before = environment.alternate(
            lambda: measure_load(now, size, campaign.claim_each), lambda: measure_load(old, size, campaign.claim_each)
        )
    campaign.check()
    what = f"claims of distinct credits over HTTP, {CONNECTIONS} connections, everything on"
    return [
        Figure(f"{what}, beside pgbench's", SHARE_OF_PGBENCH, "more", to_pgbench, "claims/s", generator_idle(campaign)),
        *compare_loads(environment, what, to_before, TIMES_BEFORE),
    ]


def compare_loads(
    environment: BenchEnvironment, what: str, rounds: list[tuple[Load, Load]], target: float = SHARE_OF_REVISION
) -> list[Figure]:
    """Return speed and CPU of today's code beside the revision to compare with.

    Speed depends on whether batches form in a round, and so on whatever else the machine does; CPU hardly does.
    """
    rates = [(now.rate, old.rate) for now, old in rounds]
    cost = [(now.milliseconds, old.milliseconds) for now, old in rounds]
    limit = 1 / SHARE_OF_REVISION if environment.before else None
    web = median(now.web_milliseconds for now, _ in rounds), median(old.web_milliseconds for _, old in rounds)
    note = f"of it in the web {web[0]:.2f} beside {web[1]:.2f} ms"
    return [
        compare_with_baseline(environment, what, rates, "claims/s", target),
        Figure(f"CPU in web and PostgreSQL: {what}, beside the code before", limit, "less", cost, "ms", note),
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
        environment.undisturbed(lambda: campaign.claim_any(now.port, size // 10))
        rates = environment.alternate(
            lambda: campaign.claim_any(now.port, size).rate, lambda: campaign.by_pgbench(pgbench.CLAIM_ANY, size)
        )
        if environment.before:
            with baseline_server(environment) as old:
                environment.undisturbed(lambda: campaign.claim_any(old.port, size // 10))
                to_before = environment.alternate(
                    lambda: measure_load(now, size, campaign.claim_any), lambda: measure_load(old, size, campaign.claim_any)
                )
            compared = compare_loads(environment, what, to_before)
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
        environment.undisturbed(lambda: campaign.me(now.port, STAMPEDE_USERS))
        runs = environment.alternate(
            lambda: campaign.stampede(now.port, count), lambda: campaign.me(now.port, count * STAMPEDE_USERS)
        )
        if environment.before:
            with baseline_server(environment) as old:
                environment.undisturbed(lambda: campaign.stampede(old.port, 1))
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
        environment.undisturbed(lambda: [campaign.claim_each(server.port, size // 10) for server in servers.values()])

        def measure_all() -> dict[str, float]:
            return {
                commit: measure_load(server, size, campaign.claim_each).web_milliseconds for commit, server in servers.items()
            }

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


def generator_idle(campaign: Campaign) -> str:
    """Return a note with the share of time in which the load generator was idle."""
    return generator_idle_note(campaign.idle)


def generator_idle_note(share: float) -> str:
    """Return the share of time in which the load generator was idle, as a note."""
    return f"the load generator idled {share:.0%} of the time or more"
