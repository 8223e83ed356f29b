"""`manage.py schedule_tasks`: create or correct the schedules of django-q2."""

from argparse import ArgumentParser
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django_q.models import Schedule

from kernel.sql import SCHEDULE_TASKS_LOCK
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.tasks import CLEAN_UP, SCHEDULES

RENAMED = {"Forget old answers": CLEAN_UP}  # names in databases of earlier versions


class Command(BaseCommand):
    """Creates or corrects the schedules of wallet.tasks and leaves all others unchanged."""

    help = "Create or correct the wallet's schedules in django-q2. Run it after each migrate. Other schedules are not changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show the changes without making them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        with transaction.atomic():
            exclusive_lock()
            for old, new in RENAMED.items():
                Schedule.objects.filter(name=old).update(name=new)
            outcomes = {name: ensure_schedule(name, *rule) for name, rule in SCHEDULES.items()}
            if dry_run:
                transaction.set_rollback(True)
        output.write_table(
            self.stdout,
            ("schedule", "runs", "cron", "dry run: would be" if dry_run else "now"),
            [(name, func, cron, outcomes[name]) for name, (func, cron) in SCHEDULES.items()],
        )


def exclusive_lock() -> None:
    """Wait until no other run of this command is active, as the name of a schedule is not unique in its table."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({SCHEDULE_TASKS_LOCK})")


def ensure_schedule(name: str, func: str, cron: str) -> str:
    """Make exactly one schedule `name` run `func` by `cron` without end; return "created", "changed" or "unchanged"."""
    fields = {"func": func, "schedule_type": Schedule.CRON, "cron": cron, "repeats": -1}
    rows = Schedule.objects.filter(name=name).order_by("pk")
    if not rows:
        Schedule.objects.create(name=name, **fields)
        return "created"
    first, *duplicates = rows
    Schedule.objects.filter(pk__in=[duplicate.pk for duplicate in duplicates]).delete()
    # Due now, as its next run was computed from the old cron, or by the clock of a host that was ahead.
    latest = Schedule(schedule_type=Schedule.CRON, cron=cron).calculate_next_run()
    right = Schedule.objects.filter(**fields, next_run__lte=latest)
    changed = Schedule.objects.filter(pk=first.pk).exclude(pk__in=right).update(**fields, next_run=Now())
    return "changed" if changed or duplicates else "unchanged"
