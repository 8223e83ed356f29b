"""Faults of the scheduler: two django-q2 clusters that run the same task, and one that was down past its schedule."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from dev.chaos.experiment import Experiment, Outcome, fresh_database, judge_run
from dev.chaos.expiry_faults import EXPIRED_TWICE, issue_expiring_credits
from dev.race import scratch_database
from dev.race.fixture import RaceFixture
from dev.race.launch import ROOT
from wallet.actions import expire_assets
from wallet.assets.models import AssetStatus, CashbackAsset
from wallet.verification.checker import Violation, fetch_rows, snapshot_connection, verify_everything

SWEEP = "wallet.tasks.sweep"
CREDITS = 400
TASK_SECONDS, RETRY_SECONDS, CLUSTERS_SECONDS = 2.5, 1, 60
DOWN = timedelta(minutes=5)
LOOKS = 7  # at the schedules by a started cluster: more than the missed minutes


def run_twice(experiment: Experiment) -> Outcome:
    """T21: a task that takes longer than `retry` is run by both clusters, and what was missed is run once: done once each."""
    found, note = caught_up(experiment)
    fresh_database(experiment)
    run_log().unlink(missing_ok=True)
    fixture = issue_expired_credits(experiment)
    with run_clusters(2):
        async_task("dev.chaos.scheduler_faults.slow_sweep")
        wait_for(lambda: finished_runs() >= 2)
    found += swept_once(fixture)
    return judge_run([], fixture, finished_runs(), 2, note=f"{CREDITS} swept once each; {note}", more=found)


def issue_expired_credits(experiment: Experiment) -> RaceFixture:
    """Issue credits and wait until all of them have expired."""
    fixture = issue_expiring_credits(experiment, CREDITS, 0.1)
    wait_for(lambda: CashbackAsset.objects.due().count() == CREDITS)
    return fixture


def swept_once(fixture: RaceFixture) -> list[Violation]:
    """Return violations for credits that were not expired, or expired more than once."""
    swept = CashbackAsset.objects.filter(status=AssetStatus.EXPIRED).count()
    found = [Violation("I6", row[0]) for row in fetch_rows(connection, EXPIRED_TWICE)]
    if swept != len(fixture.credits):
        found.append(Violation("I6", f"{swept} of {len(fixture.credits)} due credits were swept"))
    return found


def caught_up(experiment: Experiment) -> tuple[list[Violation], str]:
    """Start a cluster minutes after its schedule was due: the missed task runs once."""
    fresh_database(experiment)
    fixture = issue_expired_credits(experiment)
    call_command("schedule_tasks", stdout=io.StringIO())
    Schedule.objects.exclude(func=SWEEP).delete()
    Schedule.objects.update(next_run=timezone.now() - DOWN)
    for _ in range(LOOKS):
        scheduler()  # as the guard process of every cluster does twice a minute
    queued, following = OrmQ.objects.count(), Schedule.objects.get().next_run
    with run_clusters(1):
        wait_for(lambda: Task.objects.count() >= queued and not OrmQ.objects.exists())
    found = swept_once(fixture)
    if queued != 1:
        found.append(Violation("count", f"a cluster that was down for {DOWN} queued {queued} runs, the next for {following}"))
    if failed := Task.objects.filter(success=False).count():
        found.append(Violation("count", f"{failed} of the runs that were missed failed"))
    connection.close()
    with snapshot_connection() as reader:
        return [
            *found,
            *verify_everything(reader, issued=fixture.issued),
        ], f"after {DOWN.seconds // 60} minutes down {queued} run"


def slow_sweep() -> int:
    """Sweep for longer than `retry`, after which another cluster gets the task (run by the clusters of T21)."""
    begun, total, left = time.monotonic(), 0, True
    while left or time.monotonic() - begun < TASK_SECONDS:
        count, window = expire_assets.expire_batch(5)  # none when the other cluster holds these five
        total, left = total + count, window is not None
        time.sleep(0.05)
    with run_log().open("a") as file:
        file.write(f"{os.getpid()} swept {total}\n")
    return total


def run_log() -> Path:
    """Return the file to which each run of the task adds a line: the table of the clusters has one row per task."""
    return Path(os.environ["CASHBACK_STATE"]) / "sweeps.txt"


def finished_runs() -> int:
    """Return how often the task was completed."""
    return len(run_log().read_text().splitlines()) if run_log().exists() else 0


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds, or the time is over."""
    deadline = time.monotonic() + CLUSTERS_SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)


@contextmanager
def run_clusters(number: int) -> Iterator[None]:
    """Run clusters on the experiment's database, with a `retry` shorter than the task."""
    environ = dict(os.environ) | {
        "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
        "CLUSTER_RETRY": str(RETRY_SECONDS),
    }
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
