"""Ranges of the ledger that nothing is added to any more: they end below the oldest running transaction."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model


def start_of_range(xid: int, horizon: int) -> int:
    """Return the first transaction id that was not read.

    A database that was restored into a new server begins again at lower transaction ids.
    """
    return min(xid, horizon)


def end_of_range(models: Iterable[type[Model]], start: int, horizon: int, most: int) -> int:
    """Return where the range from `start` ends: at the horizon, or before the transaction that would exceed `most` rows of one
    of the models.

    A single larger transaction is read whole.
    """
    ends = [horizon]
    for model in models:
        rows: Any = model._default_manager.filter(xid__gte=start, xid__lt=horizon)
        ends += rows.order_by("xid", "id").values_list("xid", flat=True)[most : most + 1]
    end = min(ends)
    return end if end > start else min(start + 1, horizon)
