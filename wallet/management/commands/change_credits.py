"""`manage.py change_credits`: expire, extend or delete all unclaimed credits of a batch or a pool."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from wallet.actions import bulk_jobs
from wallet.actions.bulk_changes import count_credits
from wallet.actions.csv_rows import parse_cell_expiry
from wallet.assets.batches import Batch, BulkJob, JobKind, JobState
from wallet.assets.models import CreditPool
from wallet.management import output
from wallet.management.base_command import BaseCommand


class Command(BaseCommand):
    """Runs a bulk job here, with a progress bar. Ctrl-C cancels it; what it did stays."""

    help = (
        "Expire, extend or delete all unclaimed credits of a batch or a pool, in small transactions. Claimed credits stay, and"
        " so do recreated ones when deleting. Ctrl-C cancels the job; what it did stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=[kind.lower() for kind in JobKind.values])
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--batch", metavar="ID", type=UUID, help="the batch of an issue or import")
        target.add_argument("--pool", metavar="NAME")
        parser.add_argument("--until", type=expiry, help="new expiry for extend: a date, a timestamp, or never")
        parser.add_argument("--dry-run", action="store_true", help="only count the credits")

    def handle(self, *args: Any, kind: str, batch: UUID | None, pool: str | None, dry_run: bool, **options: Any) -> None:
        target, job_kind = find_target(batch, pool), JobKind(kind.upper())
        if (job_kind == JobKind.EXTEND) != (options["until"] is not None):
            raise CommandError("Give --until with extend, and only then.", returncode=2)
        if dry_run:
            is_batch = isinstance(target, Batch)
            job = BulkJob(kind=job_kind, batch=target if is_batch else None, pool=None if is_batch else target)
            self.stdout.write(f"{output.count_noun(count_credits(job), 'credit')} would be tried (dry run, nothing changed).")
            return
        until = None if options["until"] == "never" else options["until"]
        self.report(self.run_job(bulk_jobs.start_job(None, job_kind, target, until=until, in_background=False)))

    def run_job(self, job: BulkJob) -> BulkJob:
        """Run the job with a progress bar and return it; cancel it when interrupted."""
        try:
            job = bulk_jobs.begin(job.pk)
            with output.progress_bar(self.stderr, str(job), job.total) as advance:
                return bulk_jobs.run_job(job.pk, progress=advance)
        except KeyboardInterrupt:
            bulk_jobs.cancel_job(job.pk)
            raise

    def report(self, job: BulkJob) -> None:
        """Write what the job did. Raises CommandError unless it is done."""
        left = "".join(f", {count:,} {reason}" for reason, count in sorted(job.passed_over.items()))
        sentence = f"{output.count_noun(job.done, 'credit')} of {job.total:,} changed{left}."
        if job.state != JobState.DONE:
            raise CommandError(f"The job is {job.state}: {job.error} {sentence}")
        self.stdout.write(self.style.SUCCESS(sentence))


def expiry(text: str) -> datetime | date | str:
    """Parse --until; raise ArgumentTypeError."""
    try:
        return "never" if text == "never" else parse_cell_expiry(text) or "never"
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def find_target(batch: UUID | None, pool: str | None) -> Any:
    """Return the batch or pool; raise CommandError."""
    found = Batch.objects.filter(pk=batch).first() if batch else CreditPool.objects.filter(name=pool).first()
    if found is None:
        raise CommandError(f'{"Batch" if batch else "Pool"} not found: "{batch or pool}".', returncode=2)
    return found
