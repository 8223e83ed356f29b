"""The operators' page about the system: services, scheduled tasks, and how far the ledger is sealed."""

import sys
from typing import Any

import django
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task

from cashback.http import health
from wallet.actions import seal_ledger
from wallet.admin.base import require_operator, require_safe_method
from wallet.tasks import SCHEDULES


def system_page(request: HttpRequest) -> HttpResponse:
    """Show the state of the system to operators, read-only."""
    require_operator(require_safe_method(request))
    context = {
        **admin.site.each_context(request),
        "title": "System",
        "services": service_states(),
        "schedules": schedule_states(),
        "waiting": OrmQ.objects.count(),
        "seals": seal_ledger.sealing_progress(),
    }
    return TemplateResponse(request, "admin/system.html", context)


def service_states() -> list[tuple[str, str, bool]]:
    """Return (service, state, whether the state is good)."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    database, redis = health.database_state(), health.redis_state()
    return [
        ("Cashback", settings.SPECTACULAR_SETTINGS["VERSION"], True),
        ("Django", f"{django.get_version()} on Python {sys.version.split()[0]}", True),
        ("PostgreSQL", version, True),
        ("Migrations", "all applied" if database == "ok" else database, database == "ok"),
        ("Redis", redis, redis != "unreachable"),
    ]


def schedule_states() -> list[dict[str, Any]]:
    """Return each schedule with its last finished task and whether it is late, in two queries.

    Schedule.task is the newest task, which may still be running; the last finished one is found by its group.
    """
    known = {schedule.name: schedule for schedule in Schedule.objects.filter(name__in=SCHEDULES)}
    ended = Task.objects.filter(group__in=SCHEDULES).order_by("group", "-stopped").distinct("group")
    tasks = {task.group: task for task in ended}
    return [describe_schedule(name, known.get(name), tasks.get(name)) for name in SCHEDULES]


def describe_schedule(name: str, schedule: Any, task: Any) -> dict[str, Any]:
    """Return one schedule as the page shows it."""
    # The scheduler looks every half minute: two minutes late means that it is not running.
    late = bool(schedule and schedule.next_run and (timezone.now() - schedule.next_run).total_seconds() > 120)
    return {
        "name": name,
        "cron": SCHEDULES[name][1],
        "schedule": schedule,
        "task": task,
        "result": task.result if task and task.success else None,
        "late": late,
    }
