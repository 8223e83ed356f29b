"""What needs an operator's attention, each by one query whose cost does not grow with the ledger."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max, Q
from django.utils import timezone
from django_q.models import Schedule, Task

from wallet.assets.models import CreditPool
from wallet.assets.querysets import OPEN
from wallet.queries.seal_lag import OLDEST_UNSEALED
from wallet.queries.supply import supply_by

LATE = timedelta(minutes=5)  # sweeps and seals follow within a minute
RECENT = timedelta(days=1)
FEW, SHARE = 10, 0.05  # a pool with fewer credits left, or a smaller share of them, is nearly sold out


@dataclass(frozen=True)
class TaskState:
    """When a background task last succeeded within a day (None: not at all), and how many tasks failed in that time.

    `due` is when its first run was or is due; None once it has run.
    """

    last_success: datetime | None
    failed: int
    due: datetime | None = None

    @property
    def is_late(self) -> bool:
        """Return whether the task should have run, or run again, by now."""
        expected = self.last_success or self.due
        return expected is None or timezone.now() - expected > LATE


@dataclass(frozen=True)
class LowPool:
    """An open pool of which few credits are left; `left` is 0 when it is sold out."""

    pk: UUID
    name: str
    left: int
    issued: int


def task_state(name: str) -> TaskState:
    """Return the state of the scheduled task `name` and of all tasks together."""
    found: dict[str, Any] = Task.objects.filter(stopped__gte=timezone.now() - RECENT).aggregate(
        last=Max("stopped", filter=Q(group=name, success=True)), failed=Count("pk", filter=Q(success=False))
    )
    first = None if found["last"] else Schedule.objects.filter(name=name).values_list("next_run", flat=True).first()
    return TaskState(found["last"], found["failed"], first)


def oldest_late_record() -> datetime | None:
    """Return when the first claim or movement without a seal was recorded, if its seal is late."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_UNSEALED)
        recorded_at: datetime | None = cursor.fetchone()[0]
    return recorded_at if recorded_at and timezone.now() - recorded_at > LATE else None


def low_pools() -> list[LowPool]:
    """Return the open pools that are nearly sold out, the emptiest first, from the supply counters.

    A pool from which nothing has been claimed or has expired is not low, however small it is.
    """
    names = dict(CreditPool.objects.filter(OPEN).values_list("pk", "name"))
    low = []
    for (pk,), states in supply_by(Q(pool__is_active=True), "pool").items():
        left = states.get("available", (0, 0))[0]
        issued = sum(count for name, (count, _value) in states.items() if name != "deleted")
        if pk in names and left < issued and (left < FEW or left < SHARE * issued):
            low.append(LowPool(pk, names[pk], left, issued))
    return sorted(low, key=lambda pool: (pool.left, pool.name))
