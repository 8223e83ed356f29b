"""The sweep: write down what the clock has decided."""

from collections.abc import Callable

from wallet.assets.models import CashbackAsset, Status
from wallet.contention import act
from wallet.trace import trace

BATCH = 1_000


def expire_due(progress: Callable[[int], None] = lambda _: None, batch: int = BATCH) -> int:
    """Mark every due asset EXPIRED, `batch` rows a transaction, and return how many this call marked.

    Safe to run twice, at once, late or never: a due asset cannot be claimed either way. Rows that somebody holds are left
    for the next sweep.
    """
    total = 0
    while count := expire_batch(batch):
        total += count
        progress(count)
    return total


@act(repeatable=True)
def expire_batch(batch: int) -> int:
    """Mark up to `batch` due assets that nobody holds, and return how many."""
    due = CashbackAsset.objects.due().select_for_update(no_key=True, skip_locked=True).order_by("expires_at")
    ids = list(due.values_list("pk", flat=True)[:batch])
    with trace(None, "expire due"):
        return CashbackAsset.objects.filter(pk__in=ids, status=Status.AVAILABLE).update(status=Status.EXPIRED)
