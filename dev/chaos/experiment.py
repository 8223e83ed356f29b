"""One fault's run: a fresh database, clients at work, something broken, and the checker's verdict."""

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
MOST_CREDITS = 200_000  # as many as a experiment of two minutes needs
SETTLING_SECONDS = 10
CLIENTS = 12
# What a sound request may be refused for: it came too late, or not now. A pool that runs dry leaves clients without work.
EXPECTED = {"asset_already_claimed", "busy", "request_in_progress"}


@dataclass(frozen=True)
class Outcome:
    """What a fault's run came to: how often it struck, how often it had to, and what was found wrong."""

    count: int
    least: int
    claims: int
    attempts: int
    unknown: int
    violations: list[Violation]
    note: str = ""
    log: list[Attempt] = field(default_factory=list, repr=False)
    skipped: bool = False

    def noted(self, note: str) -> "Outcome":
        """Return the same outcome with something to say."""
        return replace(self, note=note)


@dataclass(frozen=True)
class Experiment:
    """Where, how long, how often at least, and by which dice a fault strikes."""

    servers: TestServers
    seconds: float
    seed: int
    name: str = ""
    least: int = 1

    @property
    def random(self) -> random.Random:
        """The dice: the same seed gives the same throws."""
        return random.Random(f"{self.seed}/{self.name}")  # noqa: S311  (the run must be repeatable)


@dataclass(frozen=True)
class RunningLoad:
    """What a fault may lay hands on while clients claim."""

    experiment: Experiment
    fixture: RaceFixture
    clients: Load
    web: web_server.Web
    random: random.Random

    def ticks(self, every: float) -> Iterator[float]:
        """Yield at even steps, `every` seconds apart, until the experiment's time is over."""
        begun = time.monotonic()
        step = 0
        while (now := time.monotonic() - begun) < self.experiment.seconds:
            yield now
            step += 1
            time.sleep(max(0.0, begun + step * every - time.monotonic()))


def create_template() -> None:
    """Make the database with all tables that each experiment gets a copy of; this process's settings name it."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE \"{TEMPLATE}\" TEMPLATE template0 ENCODING 'UTF8'")
    make_tables()
    call_command("grant_app_role", stdout=io.StringIO())
    connections.close_all()


def fresh_database(experiment: Experiment) -> None:
    """Give this process a fresh database with all tables, and nobody in it."""
    name = f"{scratch_database.PREFIX}{experiment.name.lower()}"
    connections.close_all()
    settings = connection.settings_dict
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        # The one before goes too: recovery from a crash takes longer with every file there is.
        for old in {name, settings["NAME"]} - {TEMPLATE}:
            cursor.execute(f'DROP DATABASE IF EXISTS "{old}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    settings["NAME"] = name
    scratch_database.require_scratch_database()


def create_people(
    experiment: Experiment, users: int = 20, credits_: int = 30, pool: int = 0, *, http: bool = True
) -> RaceFixture:
    """Make people, known credits and a pool that lasts."""
    size = pool or min(MOST_CREDITS, int(CREDITS_PER_SECOND * (experiment.seconds + 2)))
    return create_fixture(Plan(users, credits_, size, None, 0, 0, users, experiment.seed, http=http))


def web_environment(**more: str) -> dict[str, str]:
    """Return the environment of web workers on the experiment's database, in the application's role, with `more` on top."""
    url = scratch_database.database_url(connection.settings_dict | {"USER": APP_ROLE})
    return dict(os.environ) | {"DATABASE_URL": url, "DATABASE_POOL": "8"} | more


def under_load(
    experiment: Experiment,
    strike: Callable[[RunningLoad], int],
    *,
    clients: int = CLIENTS,
    environ: Mapping[str, str] | None = None,
    workers: int = web_server.WORKERS,
    port: Callable[[web_server.Web], Any] | None = None,
    connect: Callable[[int], Any] = web_server.HttpTransport,
    note: str = "",
) -> Outcome:
    """Let clients claim over HTTP while `strike` breaks things (it returns how often), and judge.

    Arguments:
        environ: the web workers', when it is not the usual one.
        workers: how many there are.
        port: a context manager that puts something between clients and web, and yields the port to ask.
        connect: makes a connection to a port.
    """
    fresh_database(experiment)
    fixture = create_people(experiment)
    with running_web(environ, port, workers) as (server, entrance):
        with Load(fixture, partial(connect, entrance), clients, experiment.seed) as load:
            count = strike(RunningLoad(experiment, fixture, load, server, experiment.random))
    return judge_run(load.log, fixture, count, experiment.least, note=note)


@contextmanager
def running_web(
    environ: Mapping[str, str] | None, port: Callable[[web_server.Web], Any] | None, workers: int = web_server.WORKERS
) -> Iterator[tuple[web_server.Web, int]]:
    """Run the web and yield it with the port that clients shall ask."""
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
        more: what else was found wrong.
        answered: whether every request must have got its answer in the end.
        refused: the codes for which a request may be refused here.
    """
    connection.close()
    seal_and_settle()
    with snapshot_connection() as reader:
        found = [*verify_everything(reader, log, fixture.issued), *leftover_sessions(reader), *more]
    if count < least:
        found.append(Violation("count", f"it struck {count} times, {least} were wanted: nothing was shown"))
    claims = len({attempt.entry for attempt in log if attempt.outcome == "ok"})
    strange = Counter(attempt.code for attempt in log if attempt.outcome == "refused" and attempt.code not in refused)
    found += [
        Violation("count", f"{count} requests were refused for {code}, which nobody asked for")
        for code, count in strange.items()
    ]
    unknown = sum(attempt.outcome == "unknown" for attempt in log)
    if answered:
        found += unanswered_requests(log)
    return Outcome(count, least, claims, len(log), unknown, found, note, log)


def seal_and_settle() -> None:
    """Seal all there is as soon as the database answers, and give sessions whose client is gone a moment to notice."""
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
    """Find requests that never got an answer, however often they were sent."""
    last = {(attempt.user, attempt.key or attempt.target): attempt for attempt in log}
    return [
        Violation("I3", f"{attempt.id} was never answered: {attempt.code}")
        for attempt in last.values()
        if attempt.outcome == "unknown" or attempt.code in ("busy", "request_in_progress")
    ]
