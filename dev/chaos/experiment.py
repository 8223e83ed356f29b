"""The run of one fault: a fresh database, claiming clients, the injected fault, and the checker's verdict."""

import contextlib
import io
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection, connections

from dev.chaos.load import Load
from dev.chaos.test_servers import TEMPLATE, TestServers
from dev.race import scratch_database, web_server
from dev.race.fixture import RaceFixture, create_fixture
from dev.race.plan import Plan
from dev.race.runner import make_tables
from kernel.refusals import Refusal
from wallet.actions import seal_ledger
from wallet.verification.checker import Violation, leftover_sessions, snapshot_connection, verify_everything
from wallet.verification.claim_log import Attempt

APP_ROLE = "cashback_app"
CREDITS_PER_SECOND = 1_500  # more than these clients can claim, so that the pool never runs dry
MOST_CREDITS = 200_000  # enough for an experiment of two minutes
SETTLING_SECONDS = 10
CLIENTS = 12
# The codes with which a valid request may be refused. An empty pool is not among them: the clients would have no work.
EXPECTED = {"asset_already_claimed", "busy", "request_in_progress"}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault's run: how often it was injected, the required minimum, and the violations."""

    count: int
    least: int
    claims: int
    attempts: int
    unknown: int
    violations: list[Violation]
    note: str = ""
    log: list[Attempt] = field(default_factory=list, repr=False)
    skipped: bool = False

    def with_note(self, note: str) -> "Outcome":
        """Return the same outcome with another note."""
        return replace(self, note=note)


@dataclass(frozen=True)
class Experiment:
    """The servers, duration, seed and required count of a fault's run."""

    servers: TestServers
    seconds: float
    seed: int
    name: str = ""
    least: int = 1

    @property
    def random(self) -> random.Random:
        """A new random generator: the same seed gives the same sequence."""
        return random.Random(f"{self.seed}/{self.name}")  # noqa: S311  (the run must be repeatable)


@dataclass(frozen=True)
class RunningLoad:
    """All that a fault may act on while clients claim."""

    experiment: Experiment
    fixture: RaceFixture
    clients: Load
    web: web_server.Web
    random: random.Random

    def ticks(self, every: float) -> Iterator[float]:
        """Yield every `every` seconds until the experiment's time is over."""
        begun = time.monotonic()
        step = 0
        while (now := time.monotonic() - begun) < self.experiment.seconds:
            yield now
            step += 1
            time.sleep(max(0.0, begun + step * every - time.monotonic()))


def create_template() -> None:
    """Create the template database with all tables, which this process's settings name; each experiment gets a copy."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE \"{TEMPLATE}\" TEMPLATE template0 ENCODING 'UTF8'")
    make_tables()
    call_command("grant_app_role", stdout=io.StringIO())
    connections.close_all()


def fresh_database(experiment: Experiment) -> None:
    """Give this process a fresh database with all tables and no rows."""
    name = f"{scratch_database.PREFIX}{experiment.name.lower()}"
    connections.close_all()
    settings = connection.settings_dict
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        # The previous database is dropped too: recovery from a crash takes longer with every file.
        for old in {name, settings["NAME"]} - {TEMPLATE}:
            cursor.execute(f'DROP DATABASE IF EXISTS "{old}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    settings["NAME"] = name
    scratch_database.require_scratch_database()


def create_people(
    experiment: Experiment, users: int = 20, credits_: int = 30, pool: int = 0, *, http: bool = True
) -> RaceFixture:
    """Create users, known credits and a pool that is large enough."""
    size = pool or min(MOST_CREDITS, int(CREDITS_PER_SECOND * (experiment.seconds + 2)))
    return create_fixture(Plan(users, credits_, size, None, 0, 0, users, experiment.seed, http=http))


def web_environment(**more: str) -> dict[str, str]:
    """Return the environment of web workers on the experiment's database, in the application's role, updated with `more`."""
    url = scratch_database.database_url(connection.settings_dict | {"USER": APP_ROLE})
    return dict(os.environ) | {"DATABASE_URL": url, "DATABASE_POOL": "8"} | more


def under_load(
    experiment: Experiment,
    inject: Callable[[RunningLoad], int],
    *,
    clients: int = CLIENTS,
    environ: Mapping[str, str] | None = None,
    workers: int = web_server.WORKERS,
    port: Callable[[web_server.Web], Any] | None = None,
    connect: Callable[[int], Any] = web_server.HttpTransport,
    note: str = "",
) -> Outcome:
    """Have clients claim over HTTP while `inject` injects the fault (it returns how often), and check the result.

    Arguments:
        environ: of the web workers; default: web_environment().
        workers: the number of web workers.
        port: a context manager that puts a proxy between clients and web workers, and yields the port to connect to.
        connect: makes a connection to a port.
    """
    fresh_database(experiment)
    fixture = create_people(experiment)
    with running_web(environ, port, workers) as (server, entry_port):
        with Load(fixture, partial(connect, entry_port), clients, experiment.seed) as load:
            count = inject(RunningLoad(experiment, fixture, load, server, experiment.random))
    return judge_run(load.log, fixture, count, experiment.least, note=note)


@contextmanager
def running_web(
    environ: Mapping[str, str] | None, port: Callable[[web_server.Web], Any] | None, workers: int = web_server.WORKERS
) -> Iterator[tuple[web_server.Web, int]]:
    """Run web workers and yield them with the port that clients connect to."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            web_server.web_server(
                environ or web_environment(), "--preload", "--graceful-timeout", "10", "--workers", str(workers)
            )
        )
        yield server, stack.enter_context(port(server)) if port else server.port


def judge_run(
    log: list[Attempt],
    fixture: RaceFixture,
    count: int,
    least: int,
    *,
    note: str = "",
    more: Sequence[Violation] = (),
    answered: bool = True,
    refused: Collection[str] = EXPECTED,
) -> Outcome:
    """Seal, check everything, and return the outcome.

    Arguments:
        more: violations found elsewhere.
        answered: whether every request must have been answered in the end.
        refused: the codes with which a request may be refused.
    """
    connection.close()
    seal_and_settle()
    with snapshot_connection() as reader:
        found = [*verify_everything(reader, log, fixture.issued), *leftover_sessions(reader), *more]
    if count < least:
        found.append(Violation("count", f"the fault was injected {count} times; at least {least} are required"))
    claims = len({attempt.entry for attempt in log if attempt.outcome == "ok"})
    unexpected = Counter(attempt.code for attempt in log if attempt.outcome == "refused" and attempt.code not in refused)
    found += [
        Violation("count", f"{count} requests were refused with {code} for no reason") for code, count in unexpected.items()
    ]
    unknown = sum(attempt.outcome == "unknown" for attempt in log)
    if answered:
        found += unanswered_requests(log)
    return Outcome(count, least, claims, len(log), unknown, found, note, log)


def seal_and_settle() -> None:
    """Seal all entries as soon as the database responds, and give sessions without a client time to end."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        try:
            seal_ledger.seal_all()
            break
        except (Refusal, DatabaseError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(0.1)
    while leftover_sessions(connection) and time.monotonic() < deadline:
        time.sleep(0.02)
    connection.close()


def unanswered_requests(log: list[Attempt]) -> list[Violation]:
    """Return a violation for each request that was never answered, however often it was sent."""
    last = {(attempt.user, attempt.key or attempt.target): attempt for attempt in log}
    return [
        Violation("I3", f"{attempt.id} was never answered: {attempt.code}")
        for attempt in last.values()
        if attempt.outcome == "unknown" or attempt.code in ("busy", "request_in_progress")
    ]
