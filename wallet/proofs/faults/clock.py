"""The clock: credits that end while they are claimed, and two clusters that run the same task twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from accounts.refusals import Refusal
from wallet import claims, expiry, issuing, pools
from wallet.assets.models import CashbackAsset, Kind, Status
from wallet.proofs import arena, scratch
from wallet.proofs.arena import Arena, Racer
from wallet.proofs.asking import Asker
from wallet.proofs.faults.scene import EXPECTED, Outcome, Scene, database, judged
from wallet.proofs.prove import ROOT
from wallet.proofs.verify import Violation, rows
from wallet.proofs.ways import Direct, Heard, heard, person

ROLLED_BACK = 0.6
# Credits, over how many seconds they end, claimers, and how long before its end one is wanted: some shall be in time, most not.
SHORT, LONG = (300, 2.5, 8, 0.015), (3000, 8.0, 32, 0.1)
LONG_RUN_SECONDS = 10
TASK_SECONDS, RETRY_SECONDS, CLUSTERS_SECONDS = 2.5, 1, 40
EXPIRED_TWICE = """
    SELECT format('asset %s was expired %s times', pgh_obj_id, count(*)) FROM assets_cashbackassetevent
    WHERE status = 'EXPIRED' AND pgh_label = 'update' GROUP BY pgh_obj_id HAVING count(*) > 1
"""


class ChangedMyMind(Exception):
    """Rolls a claim back after everything was written."""


class Fickle(Direct):
    """Rolls back more claims than it keeps."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice

    def asset(self, racer: Racer, asset: str) -> Heard:
        """Claim a credit, or do all of it and roll back."""
        if self.dice.random() >= ROLLED_BACK:
            return heard(lambda: claims.claim(UUID(asset), person(racer)))
        try:
            with transaction.atomic():
                with contextlib.suppress(Refusal):
                    claims.claim_assets([claims.Wanted(UUID(asset), person(racer))], patient=True)
                raise ChangedMyMind
        except ChangedMyMind:
            return Heard("refused", None, "busy")


def ending(scene: Scene, count: int, seconds: float) -> Arena:
    """Issue credits that end one after the other within the next `seconds`."""
    users = User.objects.bulk_create(User(email=f"racer{n}@example.com") for n in range(20))
    pool = pools.open_pool(None, name="Ending", kind=Kind.PROMOTION, currency="INR")
    first = timezone.now() + timedelta(seconds=1)
    steps = [first + timedelta(seconds=seconds * number / count) for number in range(count)]
    assets = [issuing.prepared(None, title="Ends", total_value=arena.VALUE, pool=pool, expires_at=step) for step in steps]
    issuing.issue_all(assets)
    credits_ = [str(asset.pk) for asset in assets]
    racers = [Racer(str(user.pk), "") for user in users]
    return Arena(racers, credits_, str(pool.pk), {(pool.pk, "INR"): (count, count * arena.VALUE)})


def expire_under_claims(scene: Scene) -> Outcome:
    """T20: credits end while they are claimed, most claims are rolled back, and two sweepers are at work."""
    database(scene)
    count, seconds, claimers, moment = LONG if scene.seconds >= LONG_RUN_SECONDS else SHORT
    place = ending(scene, count, seconds)
    dice = [random.Random(f"{scene.seed}/{number}") for number in range(claimers)]  # noqa: S311  (the run must be repeatable)
    askers = [Asker(Fickle(each), number, scene.seed) for number, each in enumerate(dice)]
    over = threading.Event()
    with ThreadPoolExecutor(claimers + 2) as threads:
        work = [threads.submit(chase, asker, place, timedelta(seconds=moment), over) for asker in askers]
        work += [threads.submit(sweep, over) for _ in range(2)]
        time.sleep(seconds + 1.5)
        over.set()
    for each in work:
        each.result()
    expiry.expire_due()
    found = [Violation("I6", row[0]) for row in rows(connection, EXPIRED_TWICE)]
    ended = Counter(CashbackAsset.objects.values_list("status", flat=True))
    if ended[Status.AVAILABLE]:
        found.append(Violation("I6", f"{ended[Status.AVAILABLE]} due credits were never swept"))
    if not ended[Status.CLAIMED]:
        found.append(Violation("count", "nobody was in time: nothing was shown"))
    note = f"{ended[Status.CLAIMED]:,} claimed, {ended[Status.EXPIRED]:,} expired"
    log = sorted((attempt for asker in askers for attempt in asker.log), key=lambda attempt: attempt.started)
    return judged(
        log, place, ended[Status.EXPIRED], 1, note=note, more=found, answered=False, refused={*EXPECTED, "asset_expired"}
    )


def chase(asker: Asker, place: Arena, moment: timedelta, over: threading.Event) -> None:
    """Want whatever ends next, until the time is over."""
    dice = asker.random
    with contextlib.closing(asker.way):
        while not over.is_set():
            last_moment = timezone.now() + moment
            soon = CashbackAsset.objects.filter(status=Status.AVAILABLE, expires_at__lte=last_moment).order_by("expires_at")
            if wanted := list(soon.values_list("pk", flat=True)[:20]):
                asker.ask("asset", str(dice.choice(wanted)), dice.choice(place.racers), None)
            else:
                time.sleep(0.005)


def sweep(over: threading.Event) -> None:
    """Sweep without a pause."""
    while not over.is_set():
        try:
            expiry.expire_due(batch=7)
        except Refusal:
            time.sleep(0.01)
    connection.close()


def slow_sweep() -> int:
    """Sweep for longer than a cluster waits before it gives the task to another (run by the clusters of T21)."""
    begun, total = time.monotonic(), 0
    while time.monotonic() - begun < TASK_SECONDS:
        total += expiry.expire_batch(5)[0]
        time.sleep(0.05)
    with diary().open("a") as file:
        file.write(f"{os.getpid()} swept {total}\n")
    return total


def diary() -> Path:
    """Return the file in which each run of the task leaves a line: a cluster's own table keeps one row however many ran it."""
    return Path(os.environ["CASHBACK_STATE"]) / "sweeps.txt"


def run_twice(scene: Scene) -> Outcome:
    """T21: two clusters, and a task that takes longer than `retry`: both run it, and it was done once."""
    database(scene)
    diary().unlink(missing_ok=True)
    place = ending(scene, 400, 0.1)
    with clusters(2):
        # While the clusters come up, the credits end.
        time.sleep(1.2)
        async_task("wallet.proofs.faults.clock.slow_sweep")
        wait_for_runs(2)
    swept = CashbackAsset.objects.filter(status=Status.EXPIRED).count()
    found = [Violation("I6", row[0]) for row in rows(connection, EXPIRED_TWICE)]
    if swept != len(place.credits):
        found.append(Violation("I6", f"{swept} of {len(place.credits)} due credits were swept"))
    return judged([], place, runs(), 2, note=f"{swept} swept once each", more=found)


def runs() -> int:
    """Return how often the task was run to its end."""
    return len(diary().read_text().splitlines()) if diary().exists() else 0


def wait_for_runs(least: int) -> None:
    """Wait until the task was run so often."""
    deadline = time.monotonic() + CLUSTERS_SECONDS
    while runs() < least and time.monotonic() < deadline:
        time.sleep(0.2)


@contextmanager
def clusters(number: int) -> Iterator[None]:
    """Run clusters on the scene's database, which give a task to another while the first is still at it."""
    environ = dict(os.environ) | {"DATABASE_URL": scratch.url(connection.settings_dict), "CLUSTER_RETRY": str(RETRY_SECONDS)}
    command = [sys.executable, "manage.py", "qcluster"]
    quiet = subprocess.DEVNULL
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=quiet, stderr=quiet, start_new_session=True)
        for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
