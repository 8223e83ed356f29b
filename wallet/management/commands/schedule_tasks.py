"""`manage.py schedule_tasks`: what django-q2 shall run, and when."""

from argparse import ArgumentParser
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django_q.models import Schedule

from kernel.sql import SCHEDULE_TASKS_LOCK
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.tasks import SCHEDULES


class Command(BaseCommand):
    """Make the schedules of wallet.tasks what they should be; leave everybody else's alone."""

    help = "Create or correct the wallet's schedules in django-q2. Run it after each migrate; it changes only its own, by name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what would be done, change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        with transaction.atomic():
            exclusive_lock()
            done = {name: ensure_schedule(name, *rule) for name, rule in SCHEDULES.items()}
            if dry_run:
                transaction.set_rollback(True)
        output.write_table(
            self.stdout,
            ("schedule", "runs", "cron", "dry run: would be" if dry_run else "now"),
            [(name, func, cron, done[name]) for name, (func, cron) in SCHEDULES.items()],
        )


def exclusive_lock() -> None:
    """Wait until no other such command runs: a schedule's name is not unique in its table."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({SCHEDULE_TASKS_LOCK})")


def ensure_schedule(name: str, func: str, cron: str) -> str:
    """Make the one schedule called `name` run `func` by `cron` for ever; return "created", "changed" or "unchanged"."""
    wanted = {"func": func, "schedule_type": Schedule.CRON, "cron": cron, "repeats": -1}
    rows = Schedule.objects.filter(name=name).order_by("pk")
    if not rows:
        Schedule.objects.create(name=name, **wanted)
        return "created"
    first, *doubles = rows
    Schedule.objects.filter(pk__in=[double.pk for double in doubles]).delete()
    # Due at once, since the time of its next run was worked out by the old rule.
    changed = Schedule.objects.filter(pk=first.pk).exclude(**wanted).update(**wanted, next_run=timezone.now())
    return "changed" if changed or doubles else "unchanged"
