"""The sweep: write down what the clock has decided."""

import math
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from wallet.assets.models import CashbackAsset, Status
from wallet.contention import act
from wallet.trace import trace

BATCH = 1_000
# Where a batch ended: the expiry and the id of its last asset.
Place = tuple[datetime, UUID]


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
    place: Place | None = None
    while time.monotonic() - begun < seconds:
        started = time.monotonic()
        count, place = expire_batch(batch, place)
        if not count:
            break
        total += count
        progress(count)
        time.sleep(rest * (time.monotonic() - started))
    return total


@act(repeatable=True)
def expire_batch(batch: int, place: Place | None = None) -> tuple[int, Place | None]:
    """Mark up to `batch` due assets that nobody holds, and return how many, and where the next batch begins.

    Each batch begins where the one before ended: from the start, it would walk over all that is marked already.
    """
    due = CashbackAsset.objects.due()
    if place:
        since, last = place
        due = due.filter(Q(expires_at__gte=since) & (Q(expires_at__gt=since) | Q(pk__gt=last)))
    held = due.select_for_update(no_key=True, skip_locked=True).order_by("expires_at", "pk")
    found = list(held.values_list("expires_at", "pk")[:batch])
    marked = CashbackAsset.objects.filter(pk__in=[pk for _, pk in found], status=Status.AVAILABLE)
    with trace(None, "expire due"):
        return marked.update(status=Status.EXPIRED), found[-1] if found else None  # type: ignore[return-value]
