"""PostgreSQL itself: stopped at once, lost with its machine while a standby takes over, and without room on its disk."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
from django.db import connection, connections

from cashback.local import places, postgres
from wallet.proofs import web
from wallet.proofs.attempts import Attempt
from wallet.proofs.faults.load import Load
from wallet.proofs.faults.scene import Act, Outcome, Scene, database, environment, judged, serving, stock, under_load
from wallet.proofs.faults.sessions import parameters
from wallet.proofs.faults.stage import NoStage, Stage
from wallet.proofs.verify import Violation

UP_SECONDS = 1.5  # between a start and the next stop
SERVING_SECONDS = 10
DISK = "224m"
FULL_SECONDS = 2.0
WAL = 16 * 1024 * 1024


def stop_at_once(scene: Scene) -> Outcome:
    """T9: PostgreSQL is stopped as by `pg_ctl stop -m immediate` and started again, over and over."""
    # Recovery asks the file system once instead of every file: quicker stops, the same promise.
    scene.stage.configure(recovery_init_sync_method="syncfs")
    return under_load(scene, stopping, least=max(1, int(scene.seconds / 8)))


def stopping(act: Act) -> int:
    """Stop and start until the time is over, and return how often."""
    count = 0
    for _ in act.ticks(UP_SECONDS + 1):
        act.scene.stage.stop_at_once()
        count += 1
        act.scene.stage.start()
        time.sleep(UP_SECONDS)
    return count


def fail_over(scene: Scene) -> Outcome:
    """T10: the primary's machine dies, the synchronous standby is promoted; what was acknowledged is there."""
    database(scene)
    place = stock(scene)
    begun, count, log, violations = time.monotonic(), 0, [], list[Violation]()
    stages = [primary(scene.stage, 0)]
    try:
        while not count or time.monotonic() - begun < scene.seconds:
            stages.append(standby(stages[-1], count + 1))
            with at(stages[-2]), serving(environment(), None) as (_, port):
                load = Load(place, partial(web.OverHttp, port), 12, scene.seed + count, tries=3, sealing=False)
                with load:
                    time.sleep(1.5)
                    killed = time.time()
                    stages[-2].kill()
            promote(stages[-1])
            count += 1
            log += [in_doubt(attempt) if attempt.ended > killed else attempt for attempt in load.log]
        with at(stages[-1]):
            return judged(log, place, count, 1, more=violations, answered=False)
    finally:
        for each in stages:
            with contextlib.suppress(NoStage, ProcessLookupError):
                each.stop_at_once()


def in_doubt(attempt: Attempt) -> Attempt:
    """Return an attempt of a client whose server died: "busy, ask again with the same key" does not say that nothing was done.

    Elsewhere clients do ask again, until they know.
    """
    return replace(attempt, outcome="unknown") if attempt.status == 503 else attempt


def primary(source: Stage, number: int) -> Stage:
    """Start a copy of the stage's PostgreSQL."""
    copied = source.copy(f"p{number}")
    postgres.start(copied.place)
    return copied


def standby(source: Stage, number: int) -> Stage:
    """Start a standby of a server and make that server's commits wait for it."""
    follower = source.copy(f"p{number}", "--write-recovery-conf", "--wal-method=stream")
    # The last line of a setting counts: these stand after what the copy brought along.
    conninfo = f"host={source.place.run} port={places.POSTGRES_PORT} user={postgres.ROLE} application_name=standby"
    follower.configure(primary_conninfo=conninfo, synchronous_standby_names="")
    postgres.start(follower.place)
    with at(source), psycopg.connect(**parameters(), autocommit=True) as session:
        session.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        session.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + SERVING_SECONDS
        while session.execute("SELECT sync_state FROM pg_stat_replication").fetchone() != ("sync",):
            if time.monotonic() > deadline:
                raise NoStage("The standby does not follow.")
            time.sleep(0.02)
    return follower


def promote(follower: Stage) -> None:
    """Make a standby the primary."""
    with at(follower), psycopg.connect(**parameters(), autocommit=True) as session:
        session.execute("SELECT pg_promote(true, 30)")


@contextmanager
def at(stage: Stage) -> Iterator[None]:
    """Have this process speak to another server."""
    settings = connection.settings_dict
    old = settings["HOST"]
    connections.close_all()
    settings["HOST"] = str(stage.place.run)
    try:
        yield
    finally:
        connections.close_all()
        settings["HOST"] = old


def fill_disk(scene: Scene) -> Outcome:
    """T15: a small disk fills up under load and is freed; nothing is lost, and it serves again."""
    if os.geteuid() != 0:
        return Outcome(1, 1, 0, 0, 0, [], "skipped: only root may mount a small disk")
    database(scene)
    place = stock(scene)
    with small_disk(scene.stage) as small, at(small), serving(environment(), None) as (_, port):
        with Load(place, partial(web.OverHttp, port), 12, scene.seed) as load:
            file = fill(small)
            time.sleep(FULL_SECONDS)
            refused = sum(attempt.outcome != "ok" for attempt in load.log)
            file.unlink()
            freed = time.time()
            bring_back(small)
            time.sleep(scene.seconds)
        connection.close()
        again = min((a.ended for a in load.log if a.status == 201 and a.started > freed), default=float("inf")) - freed
        late = [Violation("time", f"it served again after {again:.1f} s")] if again > SERVING_SECONDS else []
        return judged(load.log, place, refused, 1, note=f"serving again after {again:.1f} s", more=late)


def fill(stage: Stage) -> Path:
    """Take every byte of a stage's disk, and return the file that has them."""
    file = stage.place.folder / "ballast"
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(65536))
    return file


def bring_back(stage: Stage) -> None:
    """Start PostgreSQL if the full disk stopped it, as a supervisor would."""
    if not postgres.is_up(stage.place):
        postgres.start(stage.place)


@contextmanager
def small_disk(source: Stage) -> Iterator[Stage]:
    """Run a copy of the stage's PostgreSQL on a disk of 224 MB in memory."""
    folder = source.place.base / "small"
    places.make_folder(folder, 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", folder], check=True)
    try:
        small = source.copy("small")
        small.configure(max_wal_size="64MB", wal_keep_size="0")
        postgres.start(small.place)
        try:
            yield small
        finally:
            with contextlib.suppress(NoStage, ProcessLookupError):
                small.stop_at_once()
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
