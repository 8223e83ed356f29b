"""The sweep: mark due assets as EXPIRED."""

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

BATCH_SIZE = 1_000
BATCHES_PER_WINDOW = 50  # the ids of 50,000 assets take about 5 MB


@dataclass(frozen=True)
class Window:
    """Due assets found by one query: the unmarked ids in order, and the expiry and id after which the next window begins."""

    ids: Sequence[UUID]
    last_expires_at: datetime
    last_id: UUID


def expire_due(
    progress: Callable[[int], None] = lambda _: None,
    batch_size: int = BATCH_SIZE,
    *,
    rest: float = 0.0,
    seconds: float = math.inf,
) -> int:
    """Mark every due asset as EXPIRED, `batch_size` rows per transaction, and return how many this call marked.

    Safe to run twice, concurrently, late or never, because a due asset cannot be claimed. Locked rows are left for the next
    sweep.

    Arguments:
        progress: called with the number of assets that each batch marked.
        rest: pause after each batch, in multiples of its duration, so that other transactions proceed.
        seconds: after this time the remaining assets are left for the next sweep.
    """
    sweep_started, total = time.monotonic(), 0
    window: Window | None = None
    while time.monotonic() - sweep_started < seconds:
        started = time.monotonic()
        count, window = expire_batch(batch_size, window)
        if window is None:
            break
        total += count
        progress(count)
        time.sleep(rest * (time.monotonic() - started))
    return total


def expire_batch(batch_size: int, window: Window | None = None) -> tuple[int, Window | None]:
    """Mark up to `batch_size` due assets that are not locked; return how many, and the next window, or None at the end.

    Assets with neighbouring ids are on the same pages of the table and of most indexes. A batch in order of expiry would
    change, and write to the WAL, as many pages as it has rows.
    """
    if window is None or not window.ids:
        window = find_due(BATCHES_PER_WINDOW * batch_size, window)
    if window is None:
        return 0, None
    return mark_expired(window.ids[:batch_size]), Window(window.ids[batch_size:], window.last_expires_at, window.last_id)


@atomic_with_retry(idempotent=True)
def find_due(limit: int, previous: Window | None = None) -> Window | None:
    """Return up to `limit` due assets in order of expiry, after the previous window, or None if there are no more.

    From the start of the index the query would scan the dead entries of all assets that are marked already.
    """
    due = CashbackAsset.objects.due()
    if previous:
        later = Q(expires_at__gt=previous.last_expires_at) | Q(pk__gt=previous.last_id)
        due = due.filter(Q(expires_at__gte=previous.last_expires_at) & later)
    with connection.cursor() as cursor:
        # No timeout, as the query holds no locks and may take long on a cold disk.
        cursor.execute("SET LOCAL statement_timeout = 0")
    rows = list(due.order_by("expires_at", "pk").values_list("expires_at", "pk")[:limit])
    if not rows:
        return None
    last_expires_at, last_id = rows[-1]
    assert last_expires_at is not None  # an asset without an expiry is never due
    return Window(sorted((pk for _, pk in rows), key=attrgetter("int")), last_expires_at, last_id)


@atomic_with_retry(idempotent=True)
def mark_expired(ids: Sequence[UUID]) -> int:
    """Mark the assets that are due and not locked as EXPIRED, and return how many."""
    with recording_change(None, "expire due"):
        return CashbackAsset.objects.expire(ids)
