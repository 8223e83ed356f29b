"""`manage.py schedule_tasks`."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Schedule

from tests.concurrency import at_once
from wallet.tasks import SCHEDULES

Command = Callable[..., str]


def rows() -> list[tuple[Any, ...]]:
    return list(Schedule.objects.order_by("name").values_list("name", "func", "schedule_type", "cron", "repeats"))


WANTED = [(name, func, "C", cron, -1) for name, (func, cron) in sorted(SCHEDULES.items())]


def test_each_schedule_is_created_once(command: Command) -> None:
    first, second = command("schedule_tasks"), command("schedule_tasks")

    assert rows() == WANTED
    assert (first.count("created"), second.count("unchanged")) == (len(SCHEDULES), len(SCHEDULES))


def test_scheduled_functions_are_importable(db: None) -> None:
    assert all(callable(import_string(func)) for func, _ in SCHEDULES.values())


def test_changed_schedule_is_corrected_and_due_now(command: Command) -> None:
    command("schedule_tasks")
    Schedule.objects.filter(func="wallet.tasks.sweep").update(cron="0 0 1 1 *", repeats=3)

    said = command("schedule_tasks")

    assert rows() == WANTED
    assert said.count("unchanged") == len(SCHEDULES) - 1


def test_schedule_that_a_host_with_a_fast_clock_moved_ahead_is_due_now(command: Command) -> None:
    command("schedule_tasks")
    Schedule.objects.filter(func="wallet.tasks.sweep").update(next_run=timezone.now() + timedelta(days=3))

    said = command("schedule_tasks")

    assert said.count("unchanged") == len(SCHEDULES) - 1
    assert Schedule.objects.get(func="wallet.tasks.sweep").next_run <= timezone.now()


def test_schedule_of_an_earlier_version_is_renamed(command: Callable[..., str]) -> None:
    old = Schedule.objects.create(
        name="Forget old answers", func="wallet.tasks.forget_old_answers", schedule_type=Schedule.CRON, cron="17 3 * * *"
    )

    command("schedule_tasks")

    assert Schedule.objects.get(name="Clean up idempotency keys").pk == old.pk
    assert Schedule.objects.count() == len(SCHEDULES)


def test_duplicates_are_removed_and_other_schedules_kept(command: Command) -> None:
    command("schedule_tasks")
    Schedule.objects.create(name="Expire due credits", func="wallet.tasks.sweep", schedule_type="C", cron="* * * * *")
    Schedule.objects.create(name="Backup", func="operations.backup", schedule_type="D")

    command("schedule_tasks")

    assert [row for row in rows() if row[0] != "Backup"] == WANTED
    assert Schedule.objects.filter(name="Backup").count() == 1


def test_a_dry_run_changes_nothing(command: Command) -> None:
    said = command("schedule_tasks", "--dry-run")

    assert "dry run: would be" in said
    assert rows() == []


@pytest.mark.django_db(transaction=True)
def test_four_concurrent_runs_create_each_schedule_once() -> None:
    outcomes = at_once(lambda _: call_command("schedule_tasks", stdout=io.StringIO()), range(4))

    assert outcomes == [None] * 4
    assert rows() == WANTED
