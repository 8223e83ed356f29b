"""The sweep: write down what the clock has decided."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from django.db import connection
from django.db.models import Q

from kernel.transactions import atomic_with_retry
from wallet.assets.change_context import recording_change
from wallet.assets.models import CashbackAsset

BATCH = 1_000
WINDOW = 50  # batches that are looked for at once: the ids of 50,000 assets take some five megabytes


@dataclass(frozen=True)
class Window:
    """Due assets that were found together: those still to be marked, in order of their ids, and behind what the next begin."""

    ids: Sequence[UUID]
    expires_at: datetime
    last: UUID


def expire_due(
    progress: Callable[[int], None] = lambda _: None, batch: int = BATCH, *, rest: float = 0.0, seconds: float = math.inf
) -> int:
    """Mark every due asset EXPIRED, `batch` rows a transaction, and return how many this call marked.

    Safe to run twice, at once, late or never: a due asset cannot be claimed either way. Rows that somebody holds are left
    for the next sweep.

    Arguments:
        progress: told how many each batch marked.
        rest: how long to pause after a batch, in multiples of the time it took, so that others get on.
        seconds: after how long to leave the others for the next sweep.
    """
    begun, total = time.monotonic(), 0
    window: Window | None = None
    while time.monotonic() - begun < seconds:
        started = time.monotonic()
        count, window = expire_batch(batch, window)
        if window is None:
            break
        total += count
        progress(count)
        time.sleep(rest * (time.monotonic() - started))
    return total


def expire_batch(batch: int, window: Window | None = None) -> tuple[int, Window | None]:
    """Mark up to `batch` due assets that nobody holds; return how many, and the window to go on with, None at the end.

    Neighbours by id lie side by side in the table and in most of its indexes: a batch in order of expiry would touch, and so
    write to the log, as many pages as it has rows.
    """
    if window is None or not window.ids:
        window = find_due(WINDOW * batch, window)
    if window is None:
        return 0, None
    return mark_expired(window.ids[:batch]), Window(window.ids[batch:], window.expires_at, window.last)


@atomic_with_retry(idempotent=True)
def find_due(most: int, before: Window | None = None) -> Window | None:
    """Return the `most` due assets that ended first, behind those of the window before, or None when there are no more.

    From the start of the index it would walk over all that is marked already.
    """
    due = CashbackAsset.objects.due()
    if before:
        behind = Q(expires_at__gt=before.expires_at) | Q(pk__gt=before.last)
        due = due.filter(Q(expires_at__gte=before.expires_at) & behind)
    with connection.cursor() as cursor:
        # However long a cold disk takes: nothing is locked here.
        cursor.execute("SET LOCAL statement_timeout = 0")
    found = list(due.order_by("expires_at", "pk").values_list("expires_at", "pk")[:most])
    if not found:
        return None
    expires_at, last = found[-1]
    assert expires_at is not None  # what never ends is not due
    return Window(sorted((pk for _, pk in found), key=attrgetter("int")), expires_at, last)


@atomic_with_retry(idempotent=True)
def mark_expired(ids: Sequence[UUID]) -> int:
    """Mark those of the assets EXPIRED that are due and that nobody holds, and return how many they were."""
    with recording_change(None, "expire due"):
        return CashbackAsset.objects.expire(ids)
