"""What became of a batch, from counters: its credits are never counted. And the batches of a file."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet, Sum

from kernel.replicas import read_connection
from wallet.assets.batches import Batch
from wallet.assets.models import CashbackAsset

STATES = ("scheduled", "available", "claimed", "expired", "deleted")
# The sums up to the last seal and the changes since. One statement, so that no change is seen twice or not at all.
SUPPLY = """
SELECT currency, lower(status), sum(count), sum(value) FROM (
    SELECT currency, status, count, value FROM assets_batchsupply WHERE batch_id = %(batch)s
    UNION ALL
    SELECT currency, status, count, value FROM assets_supplydelta WHERE batch_id = %(batch)s
) AS counter GROUP BY currency, lower(status)
"""


def batch_supply(batch: Batch) -> list[dict[str, Any]]:
    """Return (count, value) of the credits that were issued and of each state, deleted included, per currency."""
    lines: dict[str, dict[str, tuple[int, Decimal]]] = defaultdict(lambda: defaultdict(lambda: (0, Decimal(0))))
    for currency, state, count, value in supply_rows(batch):
        number, total = lines[currency][state]
        lines[currency][state] = (number + count, total + value)
    return [
        {"currency": code} | with_issued(states) for code, states in sorted(lines.items()) if any(map(any, states.values()))
    ]


def supply_rows(batch: Batch) -> list[tuple[str, str, int, Decimal]]:
    """Return (currency, state, count, value) from the counters, with due credits moved from available to expired.

    Due credits are counted: they are few, because the sweep marks them.
    """
    with read_connection().cursor() as cursor:
        cursor.execute(SUPPLY, {"batch": batch.pk})
        rows = [(currency, state, int(count), value) for currency, state, count, value in cursor.fetchall()]
    due = CashbackAsset.objects.in_batch(batch).due().order_by().values_list("currency")
    for currency, count, value in due.annotate(Count("pk"), Sum("total_value")):
        rows += [(currency, "available", -count, -value), (currency, "expired", count, value)]
    return rows


def with_issued(states: dict[str, tuple[int, Decimal]]) -> dict[str, tuple[int, Decimal]]:
    """Return the figures of every state, and their sum as issued."""
    figures = {state: states.get(state, (0, Decimal(0))) for state in STATES}
    issued = sum(count for count, _ in figures.values()), sum((value for _, value in figures.values()), Decimal(0))
    return {"issued": issued} | figures


def counts(batch: Batch) -> dict[str, int]:
    """Return the number of the batch's credits per state, over all currencies."""
    lines = batch_supply(batch)
    return {state: sum(line[state][0] for line in lines) for state in ("issued", *STATES)}


def batches_of_file(digest: str) -> QuerySet[Batch]:
    """Return the batches that were imported from the file with this SHA-256, newest first."""
    return Batch.objects.filter(file_digest=digest).exclude(file_digest="").select_related("created_by").order_by("-id")
