"""Faults of PostgreSQL sessions: terminated, blocked by a stopped or slow lock holder, and too few of them."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from dev.chaos.experiment import (
    APP_ROLE,
    Experiment,
    Outcome,
    RunningLoad,
    create_people,
    fresh_database,
    judge_run,
    running_web,
    under_load,
    web_environment,
)
from dev.chaos.load import Load
from dev.race import web_server
from dev.race.claim_client import ClaimClient
from dev.race.fixture import RaceFixture
from dev.race.transport import user_of
from kernel.transactions import Busy
from wallet.actions.claim import claim_asset
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt

# A session of the web, preferably one within a transaction.
VICTIM = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = %s ORDER BY state = 'idle', random() LIMIT 1
"""
# Runs short statements in its transaction for the given time; then it idles.
HOLDER = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], options=sys.argv[2]) as session:
    session.execute("SELECT 1 FROM assets_cashbackasset WHERE id = %s FOR NO KEY UPDATE", [sys.argv[3]])
    print("held", flush=True)
    until = time.monotonic() + float(sys.argv[4])
    while time.monotonic() < until:
        session.execute("SELECT pg_sleep(0.1)")
    time.sleep(600)
"""
IDLE_SECONDS, LOCK_SECONDS = 5.0, 2.0
SESSIONS, RECOVERY_SECONDS, HANG_SECONDS = 8, 5, 15
NONE_SECONDS = 3.0  # without any session: long enough for the web to answer 503
CLIENTS_OVER_LIMIT = 5 * SESSIONS


def kill_backends(experiment: Experiment) -> Outcome:
    """T3: a session of the web is terminated every 50 ms."""
    return under_load(experiment, terminate_sessions)


def terminate_sessions(load: RunningLoad) -> int:
    """Terminate one session each 50 ms and return how many."""
    count = 0
    with psycopg.connect(**connection_parameters(), autocommit=True) as killer:
        for _ in load.ticks(0.05):
            row = killer.execute(VICTIM, [APP_ROLE]).fetchone()
            count += bool(row and row[0])
    return count


def connection_parameters() -> dict[str, Any]:
    """Return how to connect to the experiment's database, past Django."""
    found = connection.get_connection_params()
    return {name: found[name] for name in ("dbname", "user", "host", "port") if name in found}


@contextmanager
def hold_asset_row(asset: str, busy: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """Have another process lock an asset's row, in the web's role and with the web's time limits.

    Arguments:
        busy: the seconds of statements before it idles in its transaction.
    """
    conninfo = " ".join(f"{name}={value}" for name, value in (connection_parameters() | {"user": APP_ROLE}).items())
    options = connection.settings_dict["OPTIONS"]["options"]
    command = [sys.executable, "-c", HOLDER, conninfo, options, asset, str(busy)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path("/"))
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "held\n":
            raise RuntimeError("the other process does not hold the lock")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


@contextmanager
def as_the_web() -> Iterator[None]:
    """Have this process connect to PostgreSQL in the role of the web."""
    settings = connection.settings_dict
    owner = settings["USER"]
    connection.close()
    settings["USER"] = APP_ROLE
    try:
        yield
    finally:
        connection.close()
        settings["USER"] = owner


def stop_holder(experiment: Experiment) -> Outcome:
    """T7: the holder of a row lock is stopped; waiting claims succeed once PostgreSQL has ended the idle transaction."""
    fixture, found = idle_fixture(experiment), []
    with as_the_web(), hold_asset_row(fixture.credits[0]) as holder:
        begun = time.monotonic()
        os.kill(holder.pid, signal.SIGSTOP)
        claim_in_the_end(fixture, fixture.credits[0], begun + 30)
        waited = time.monotonic() - begun
    if waited > IDLE_SECONDS + 1:
        found.append(Violation("time", f"the waiter was served after {waited:.2f} s, the limit is {IDLE_SECONDS + 1} s"))
    return judge_run([], fixture, 1, 1, note=f"served after {waited:.1f} s", more=found)


def slow_holder(experiment: Experiment) -> Outcome:
    """T13: a row is locked for 10 s; a claim is answered after the lock timeout."""
    fixture, found = idle_fixture(experiment), []
    with as_the_web(), hold_asset_row(fixture.credits[0], busy=10):
        begun = time.monotonic()
        with contextlib.suppress(Busy):
            claim_asset(UUID(fixture.credits[0]), user_of(fixture.participants[0]))
            found.append(Violation("time", "a locked row was claimed"))
        waited = time.monotonic() - begun
    if waited > LOCK_SECONDS + 0.2:
        found.append(Violation("time", f"the answer came after {waited:.2f} s, the limit is {LOCK_SECONDS + 0.2} s"))
    return judge_run([], fixture, 1, 1, note=f"answered after {waited:.2f} s", more=found)


def seconds_to_lock_after_kill(assets: list[str], rounds: int = 5) -> float:
    """Return the seconds (median) until the row of a killed lock holder can be locked."""
    return statistics.median(time_to_lock(assets[number % len(assets)]) for number in range(rounds))


def time_to_lock(asset: str) -> float:
    """Kill a lock holder and return the seconds until its row is locked here."""
    with psycopg.connect(**connection_parameters()) as next_one, hold_asset_row(asset) as holder:
        begun = time.monotonic()
        holder.kill()
        next_one.execute("SELECT 1 FROM assets_cashbackasset WHERE id = %s FOR NO KEY UPDATE", [asset])
        return time.monotonic() - begun


def idle_fixture(experiment: Experiment) -> RaceFixture:
    """Return a small fixture on a fresh database, without clients."""
    fresh_database(experiment)
    return create_people(experiment, users=2, credits_=3, pool=1, http=False)


def claim_in_the_end(fixture: RaceFixture, asset: str, deadline: float) -> None:
    """Claim an asset, retrying while it is busy."""
    while time.monotonic() < deadline:
        with contextlib.suppress(Busy):
            claim_asset(UUID(asset), user_of(fixture.participants[0]))
            return
    raise RuntimeError("the claim was not answered in time")


def exhaust_sessions(experiment: Experiment) -> Outcome:
    """T14: forty clients where the database allows eight sessions, then none, then eight again while the clients stop."""
    fresh_database(experiment)
    fixture = create_people(experiment)
    limit_sessions(SESSIONS)
    with running_web(web_environment(DATABASE_POOL="4"), None) as (_, port):
        with Load(fixture, partial(web_server.HttpTransport, port), CLIENTS_OVER_LIMIT, experiment.seed) as load:
            time.sleep(experiment.seconds / 2)
            emptied = time.time()
            limit_sessions(0)
            time.sleep(max(NONE_SECONDS, experiment.seconds / 2))
            limit_sessions(SESSIONS)
            load.over.set()
            begun, client = time.monotonic(), ClaimClient(web_server.HttpTransport(port), CLIENTS_OVER_LIMIT, experiment.seed)
            client.request_until_answered("pool", fixture.pool, fixture.participants[0], f"after-the-load-{experiment.seed}")
            recovered = time.monotonic() - begun
    log = [*load.log, *client.log]
    crowded = [attempt for attempt in log if attempt.ended < emptied]
    after = [attempt for attempt in log if attempt.ended >= emptied]
    found = slow_answers(log, recovered)
    if (waiting := most_at_once([attempt for attempt in log if attempt.started < emptied])) < 4 * SESSIONS:
        found.append(Violation("count", f"only {waiting} requests were in flight at once: too few"))
    note = (
        f"{waiting} requests at once at {SESSIONS} sessions: {summarize_requests(crowded)};"
        f" then without a session: {summarize_requests(after)}; serving again after {recovered:.2f} s"
    )
    return judge_run(log, fixture, count_503(after), 1, note=note, more=found)


def slow_answers(log: Sequence[Attempt], recovered: float) -> list[Violation]:
    """Return violations for a recovery and for responses that took too long."""
    found = []
    if recovered > RECOVERY_SECONDS:
        found.append(Violation("time", f"recovery took {recovered:.1f} s, the limit is {RECOVERY_SECONDS} s"))
    if slowest_answer(log) > HANG_SECONDS:
        found.append(Violation("time", f"a request waited {slowest_answer(log):.1f} s for its answer"))
    return found


def summarize_requests(log: Sequence[Attempt]) -> str:
    """Return a summary of the requests."""
    return f"{count_503(log):,} of {len(log):,} answered 503, the slowest answer after {slowest_answer(log):.1f} s"


def count_503(log: Sequence[Attempt]) -> int:
    """Return the number of requests answered 503."""
    return sum(attempt.status == 503 for attempt in log)


def slowest_answer(log: Sequence[Attempt]) -> float:
    """Return how many seconds the slowest answer took."""
    return max((attempt.ended - attempt.started for attempt in log), default=0.0)


def most_at_once(log: Sequence[Attempt]) -> int:
    """Return the largest number of requests that were in flight at the same time."""
    changes = sorted([(attempt.started, 1) for attempt in log] + [(attempt.ended, -1) for attempt in log])
    return max(accumulate(change for _, change in changes), default=0)


def limit_sessions(most: int) -> None:
    """Limit the application's sessions on this database, and terminate those it has."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(**connection_parameters(), autocommit=True) as session:
        session.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT {most}')
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = %s", [name, APP_ROLE]
        )
