"""Faults of PostgreSQL itself: an immediate stop, a failover to the standby, and a full disk."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, connections

from dev.chaos.experiment import (
    CLIENTS,
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
from dev.chaos.proxy import Pair, Proxy, proxy_socket
from dev.chaos.session_faults import connection_parameters
from dev.chaos.test_servers import TestServers, TestServersFailed
from dev.race import web_server
from dev.race.fixture import RaceFixture
from dev.services import paths, postgres
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt

UP_SECONDS = 1.5  # between a start and the next stop
SERVING_SECONDS = 10
DISK = "224m"
FULL_SECONDS = 2.0
SHOWN_SECONDS = 1.0  # of claims before a primary dies
Beside = Callable[[Experiment, RaceFixture], AbstractContextManager[list[Violation]]]
FOLLOWS = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= %s"


def stop_at_once(experiment: Experiment) -> Outcome:
    """T9: PostgreSQL is stopped as by `pg_ctl stop -m immediate` and started, repeatedly."""
    # Recovery syncs the file system once instead of every file: quicker restarts, the same durability.
    experiment.servers.configure(recovery_init_sync_method="syncfs")
    return under_load(experiment, stop_repeatedly)


def stop_repeatedly(load: RunningLoad) -> int:
    """Stop and start until the time is over; return how often."""
    count = 0
    for _ in load.ticks(UP_SECONDS + 1):
        load.experiment.servers.stop_at_once()
        count += 1
        load.experiment.servers.start()
        time.sleep(UP_SECONDS)
    return count


@contextmanager
def nothing_beside(_: Experiment, __: RaceFixture) -> Iterator[list[Violation]]:
    """Do nothing else during the experiment."""
    yield []


def fail_over(experiment: Experiment, beside: Beside = nothing_beside) -> Outcome:
    """T10: the primary is lost and its synchronous standby is promoted, repeatedly, under the same clients.

    The web connects to the primary at one address, as behind a virtual IP address. Clients retry unanswered requests with the
    same key on the next primary.

    Arguments:
        beside: what else goes on; it yields a list, which has its violations when it has ended.
    """
    fresh_database(experiment)
    fixture = create_people(experiment)
    alive = [start_primary(experiment.servers)]
    address = proxy_socket(experiment.servers.instance.folder / "address")
    lost: list[float] = []
    try:
        with Proxy(Pair, alive[0].instance.postgres_socket, address) as proxy, use_socket(address.parent):
            with running_web(web_environment(), None) as (_, port), beside(experiment, fixture) as more:
                with Load(fixture, partial(web_server.HttpTransport, port), CLIENTS, experiment.seed) as load:
                    begun = time.monotonic()
                    while not lost or time.monotonic() - begun < experiment.seconds:
                        lost.append(replace_primary(alive, proxy, len(lost) + 1))
            again = max(served_again(load.log, moment) for moment in lost)
            late = [Violation("time", f"claims succeeded again after {again:.1f} s")] if again > SERVING_SECONDS else []
            return judge_run(
                load.log, fixture, len(lost), experiment.least, note=f"claims again after {again:.1f} s", more=[*late, *more]
            )
    finally:
        for server in alive:
            with contextlib.suppress(TestServersFailed, ProcessLookupError):
                server.stop_at_once()
            shutil.rmtree(server.instance.folder)


def replace_primary(alive: list[TestServers], proxy: Proxy, number: int) -> float:
    """Start a standby, kill the primary, promote the standby, and return the time of the kill."""
    alive.append(start_standby(alive[-1], number))
    time.sleep(SHOWN_SECONDS)
    killed = time.time()
    alive[0].kill()
    promote_standby(alive[1])
    proxy.target = alive[1].instance.postgres_socket
    shutil.rmtree(alive.pop(0).instance.folder)
    return killed


def served_again(log: list[Attempt], moment: float) -> float:
    """Return the seconds from the moment to the first claim of a request sent after it; infinite without one."""
    return (
        min((attempt.ended for attempt in log if attempt.status == 201 and attempt.started > moment), default=float("inf"))
        - moment
    )


def start_primary(source: TestServers) -> TestServers:
    """Start a copy of the PostgreSQL server."""
    copied = source.copy("p0")
    postgres.start_postgres(copied.instance)
    return copied


def start_standby(source: TestServers, number: int) -> TestServers:
    """Start a standby of a server and make the server's commits wait for it."""
    follower = source.copy(f"p{number}", "--write-recovery-conf", "--wal-method=stream")
    # The last line of a setting counts: these follow those of the copied file.
    conninfo = f"host={source.instance.run} port={paths.POSTGRES_PORT} user={postgres.ROLE} application_name=standby"
    follower.configure(primary_conninfo=conninfo, synchronous_standby_names="")
    postgres.start_postgres(follower.instance)
    with session_at(source) as session:
        session.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        session.execute("SELECT pg_reload_conf()")
        # Wait for commits that were acknowledged before synchronous replication began.
        position = session.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        deadline = time.monotonic() + SERVING_SECONDS
        while not session.execute(FOLLOWS, position).fetchone():
            if time.monotonic() > deadline:
                raise TestServersFailed("The standby does not follow.")
            time.sleep(0.02)
    return follower


def promote_standby(follower: TestServers) -> None:
    """Make a standby the primary."""
    with session_at(follower) as session:
        session.execute("SELECT pg_promote(true, 30)")


def session_at(servers: TestServers) -> psycopg.Connection[Any]:
    """Return a session on the experiment's database at another server."""
    return psycopg.connect(**connection_parameters() | {"host": str(servers.instance.run)}, autocommit=True)


@contextmanager
def use_socket(folder: Path) -> Iterator[None]:
    """Have this process connect to PostgreSQL through the socket in another folder."""
    settings = connection.settings_dict
    old = settings["HOST"]
    connections.close_all()
    settings["HOST"] = str(folder)
    try:
        yield
    finally:
        connections.close_all()
        settings["HOST"] = old


def fill_disk(experiment: Experiment) -> Outcome:
    """T15: a small disk fills up under load and is freed; no claim is lost, and claims succeed again."""
    if os.geteuid() != 0:
        return Outcome(0, 0, 0, 0, 0, [], "only root may mount a small disk", skipped=True)
    fresh_database(experiment)
    fixture = create_people(experiment)
    with small_disk(experiment.servers) as small, use_socket(small.instance.run):
        with (
            running_web(web_environment(), None) as (_, port),
            Load(fixture, partial(web_server.HttpTransport, port), CLIENTS, experiment.seed) as load,
        ):
            file = fill_small_disk(small)
            time.sleep(FULL_SECONDS)
            refused = sum(attempt.outcome != "ok" for attempt in load.log)
            file.unlink()
            freed = time.time()
            bring_back(small)
            time.sleep(experiment.seconds)
        again = served_again(load.log, freed)
        late = [Violation("time", f"claims succeeded again after {again:.1f} s")] if again > SERVING_SECONDS else []
        return judge_run(load.log, fixture, refused, experiment.least, note=f"claims again after {again:.1f} s", more=late)


def fill_small_disk(servers: TestServers) -> Path:
    """Fill the disk of the servers, and return the file that fills it."""
    file = servers.instance.folder / "ballast"
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(65536))
    return file


def bring_back(servers: TestServers) -> None:
    """Start PostgreSQL if the full disk stopped it, as a supervisor would."""
    if not postgres.is_up(servers.instance):
        postgres.start_postgres(servers.instance)


@contextmanager
def small_disk(source: TestServers) -> Iterator[TestServers]:
    """Run a copy of the PostgreSQL server on a disk of 224 MB in memory."""
    folder = source.instance.base / "small"
    paths.make_folder(folder, 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", folder], check=True)
    try:
        small = source.copy("small")
        small.configure(max_wal_size="64MB", wal_keep_size="0")
        postgres.start_postgres(small.instance)
        try:
            yield small
        finally:
            with contextlib.suppress(TestServersFailed, ProcessLookupError):
                small.stop_at_once()
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
