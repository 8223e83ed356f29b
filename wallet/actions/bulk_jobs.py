"""Bulk jobs: expire, extend or delete all unclaimed credits of a batch or a pool in the background, in small transactions.

A job's row holds how far it is, and each transaction changes it together with the credits. So a job may run twice, at the same
time, or on after a crash: each credit is handled once.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from math import inf
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop as _
from django_q.tasks import async_task

from accounts.models import User
from kernel.refusals import Conflict, NotFound
from kernel.transactions import atomic_with_retry, violated_constraint
from wallet.actions.bulk_changes import CHANGES, count_credits, find_credits, lock_credits
from wallet.actions.issue_assets import resolve_expiry
from wallet.assets.batches import UNFINISHED, Batch, BulkJob, JobKind, JobState
from wallet.assets.change_context import acting_through_channel, channel
from wallet.assets.models import CreditPool

BATCH_SIZE = 200  # credits per transaction: it holds their locks and the disk only briefly
WINDOW_SIZE = 20_000  # ids read by one query
MAX_LOCKED_IDS = 1_000  # credits that were locked and are tried again at the end
LEASE = timedelta(seconds=60)
RUNNER = "wallet.tasks.run_bulk_jobs"
LOCKED = "LOCKED"  # passed over: locked by another transaction, twice
Progress = Callable[[int], None]


class JobNotFound(NotFound):
    code = "not_found"
    meaning = _("The bulk job does not exist.")
    detail = _("Bulk job not found. See the list of bulk jobs.")


class JobUnfinished(Conflict):
    code = "request_in_progress"
    meaning = _("Another bulk job of the same batch or pool has not finished.")
    detail = _("Another bulk job of this batch or pool has not finished. Wait for it, or cancel it.")
    retry_after = 60


@atomic_with_retry(idempotent=False)
def start_job(
    actor: User | None,
    kind: JobKind,
    target: Batch | CreditPool,
    *,
    until: datetime | date | None = None,
    in_background: bool = True,
) -> BulkJob:
    """Create a job over all unclaimed credits of a batch or a pool and return it; a worker of the scheduler runs it.

    Arguments:
        until: for EXTEND: a timestamp, a date (end of day in each pool's time zone), or None for no expiry.
        in_background: False if the caller runs the job itself.

    Raises JobUnfinished, ValidationError.
    """
    pool = target if isinstance(target, CreditPool) else None
    batch = target if isinstance(target, Batch) else None
    resolve_expiry(until, pool)
    is_time = isinstance(until, datetime)
    job = BulkJob(
        kind=kind,
        batch=batch,
        pool=pool,
        until_time=until if is_time else None,
        until_day=None if is_time else until,
        created_by=actor,
        channel=channel.get(),
    )
    try:
        job.save(force_insert=True)
    except IntegrityError as error:
        if violated_constraint(error).startswith("bulkjob_one_per_"):
            raise JobUnfinished from error
        raise
    if in_background:
        enqueue()
    return job


def enqueue() -> None:
    """Ask the scheduler's workers to run the jobs; within a transaction, once it commits."""
    async_task(RUNNER, task_name="bulk jobs")


@atomic_with_retry(idempotent=True)
def cancel_job(job_id: UUID) -> BulkJob:
    """End a job before its next transaction, and return it; what it did stays. A finished job stays as it is.

    Raises JobNotFound.
    """
    job = lock_job(job_id)
    if not job.is_finished:
        finish(job, JobState.CANCELLED)
    return job


def lock_job(job_id: UUID) -> BulkJob:
    """Return the job, locked; raise JobNotFound."""
    job = BulkJob.objects.select_for_update(no_key=True, of=("self",)).filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def finish(job: BulkJob, state: JobState, error: str = "") -> None:
    """Write the final state of a locked job."""
    job.state, job.error, job.finished_at, job.leased_until = state, error[:200], timezone.now(), None
    job.locked_ids = []
    job.save()


def run_next_job(seconds: float, rest: float) -> BulkJob | None:
    """Work on the oldest unfinished job for some time, and return it; None if there is none or a worker is at one.

    Arguments:
        rest: pause after each transaction, in multiples of its duration, so that claims proceed.
    """
    if BulkJob.objects.filter(state__in=UNFINISHED, leased_until__gt=Now()).exists():
        return None
    job = BulkJob.objects.filter(state__in=UNFINISHED).order_by("pk").first()
    return job and run_job(job.pk, seconds=seconds, rest=rest)


def has_unfinished_jobs() -> bool:
    """Return whether a job waits or runs."""
    return BulkJob.objects.filter(state__in=UNFINISHED).exists()


def run_job(job_id: UUID, *, seconds: float = inf, rest: float = 0.0, progress: Progress = lambda _: None) -> BulkJob:
    """Work on a job until it is finished or the time is over, and return it.

    Arguments:
        progress: called with the number of credits that each transaction handled.
    """
    job = begin(job_id)
    started = time.monotonic()
    window: Sequence[UUID] = ()
    with acting_through_channel(job.channel):
        while not job.is_finished and time.monotonic() - started < seconds:
            step_started, handled = time.monotonic(), job.handled
            window = window or find_credits(job, WINDOW_SIZE)
            job = run_step(job_id, window[:BATCH_SIZE])
            window = window[BATCH_SIZE:]
            progress(job.handled - handled)
            time.sleep(rest * (time.monotonic() - step_started))
    if not job.is_finished:
        BulkJob.objects.filter(pk=job_id).update(leased_until=None)
    return job


@atomic_with_retry(idempotent=True)
def begin(job_id: UUID) -> BulkJob:
    """Mark a waiting job as running, with the number of its credits, and return it. Raises JobNotFound."""
    job = lock_job(job_id)
    if job.state == JobState.WAITING:
        job.state, job.started_at = JobState.RUNNING, timezone.now()
        job.total = count_credits(job)
        job.save()
    return job


def run_step(job_id: UUID, ids: Sequence[UUID]) -> BulkJob:
    """Handle the next credits of a job in one transaction and return the job; an error ends it as FAILED.

    Raises Busy, after which a worker goes on with the job later.
    """
    try:
        return retry_if_due(job_id, ids)
    except ValidationError as error:
        return fail_job(job_id, " ".join(error.messages))
    except DatabaseError as error:
        return fail_job(job_id, str(error).partition("\n")[0])


def retry_if_due(job_id: UUID, ids: Sequence[UUID]) -> BulkJob:
    """Handle the credits; once more when one of them became due between its lock and its change."""
    try:
        return handle_credits(job_id, ids)
    except IntegrityError as error:
        if violated_constraint(error) != "asset_not_due":
            raise
        return handle_credits(job_id, ids)


@atomic_with_retry(idempotent=True)
def fail_job(job_id: UUID, error: str) -> BulkJob:
    """End a job as FAILED and return it."""
    job = lock_job(job_id)
    if not job.is_finished:
        finish(job, JobState.FAILED, error)
    return job


@atomic_with_retry(idempotent=True)
def handle_credits(job_id: UUID, ids: Sequence[UUID]) -> BulkJob:
    """Change the credits and count them in the job's row; without ids try those again that were locked, and finish."""
    job = lock_job(job_id)
    if job.is_finished:
        return job
    if ids:
        # Another worker may have handled some of them since they were read.
        remaining = [pk for pk in ids if job.last_id is None or pk.int > job.last_id.int]
        change_credits(job, remaining, skip_locked=True)
        job.last_id = max((ids[-1], job.last_id or ids[-1]), key=lambda pk: pk.int)
        job.leased_until = Now() + LEASE
        job.save()
        return job
    retried = [UUID(text) for text in job.locked_ids]
    change_credits(job, sorted(retried[:BATCH_SIZE], key=lambda pk: pk.int), skip_locked=False)
    job.locked_ids = [str(pk) for pk in retried[BATCH_SIZE:]]
    if job.locked_ids:
        job.save()
    else:
        finish(job, JobState.DONE)
    return job


def change_credits(job: BulkJob, ids: Sequence[UUID], *, skip_locked: bool) -> None:
    """Change the credits with these ids, or count why not, in a locked job."""
    rows = lock_credits(ids, skip_locked)
    found = {row.pk for row in rows}
    locked = [pk for pk in ids if pk not in found] if skip_locked else []
    done, passed_over = CHANGES[JobKind(job.kind)](job, rows)
    kept = MAX_LOCKED_IDS - len(job.locked_ids)
    job.locked_ids = [*job.locked_ids, *(str(pk) for pk in locked[:kept])]
    job.done += done
    job.passed_over = Counter(job.passed_over) + passed_over + Counter({LOCKED: len(locked[kept:])})
