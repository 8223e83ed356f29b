"""Who owns what, and what is still owed."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from wallet.assets.models import CashbackAsset, CreditPool, Status
from wallet.assets.money import written
from wallet.assets.querysets import AssetQuerySet

OWNERSHIP_COLUMNS = ("asset", "title", "value", "currency", "status", "owner", "claimed_at", "pool")
ROWS_AT_ONCE = 2_000


def ownership() -> AssetQuerySet:
    """Return the assets with what the ownership report says of each, in one query: current status, owner and pool."""
    return CashbackAsset.objects.with_current_status().select_related("claimed_by", "pool")


def ownership_row(asset: CashbackAsset) -> dict[str, Any]:
    """Return one line of the report, keyed by OWNERSHIP_COLUMNS, in JSON types."""
    return {
        "asset": str(asset.pk),
        "title": asset.title,
        "value": written(asset.total_value, asset.currency),
        "currency": asset.currency,
        "status": asset.current_status,
        "owner": asset.claimed_by.email if asset.claimed_by else None,
        "claimed_at": asset.claimed_at.isoformat().replace("+00:00", "Z") if asset.claimed_at else None,
        "pool": asset.pool.name if asset.pool else None,
    }


def ownership_rows(assets: AssetQuerySet) -> Iterator[dict[str, Any]]:
    """Yield the report's lines, `ROWS_AT_ONCE` in memory, from a cursor on the server."""
    return map(ownership_row, assets.iterator(chunk_size=ROWS_AT_ONCE))


def ownership_totals(assets: AssetQuerySet) -> list[dict[str, Any]]:
    """Return per currency and current status of the given assets their `count` and `value`."""
    names: Any = ("currency", "current_status")
    groups: Any = assets.order_by(*names).values(*names)
    return [
        {**group, "value": written(group["value"], group["currency"])}
        for group in groups.annotate(count=Count("pk"), value=Sum("total_value"))
    ]


def inert(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection): a quote before = + - @ TAB CR."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def summary(pool_id: UUID | None = None, currency: str | None = None) -> list[dict[str, Any]]:
    """Return per currency and pool how many credits, and of what value, were issued and what became of them.

    Each line: `currency`, `pool` (id and name, or None), and `{count, value}` for `issued`, `available`, `claimed`,
    `expired`, `deleted`, `remaining` (may still be claimed) and `liability` (claimed and still owed). `issued` is the
    number of rows ever inserted, which the four others add up to.
    """
    wanted = Q()
    if pool_id:
        wanted &= Q(pool=pool_id)
    if currency:
        wanted &= Q(currency=currency)
    lines: dict[tuple[str, UUID | None], dict[str, tuple[int, Any]]] = {}
    living: Any = CashbackAsset.objects.with_current_status().filter(wanted).order_by()
    for row in living.values("currency", "pool", "current_status").annotate(count=Count("pk"), value=Sum("total_value")):
        add(lines, row, row["current_status"].lower())
    deleted = CashbackAsset.pgh_event_model.objects.filter(wanted, pgh_label="delete").order_by()  # type: ignore[attr-defined]
    for row in deleted.values("currency", "pool").annotate(count=Count("pk"), value=Sum("total_value")):
        add(lines, row, "deleted")
    pools = CreditPool.objects.in_bulk([pool for _, pool in lines if pool])
    ordered = sorted(lines.items(), key=lambda line: (line[0][0], str(line[0][1] or "")))
    return [{"currency": code, "pool": named(pools.get(pool)), **totals(states, code)} for (code, pool), states in ordered]


def add(lines: dict[Any, dict[str, tuple[int, Any]]], row: dict[str, Any], state: str) -> None:
    """Put one group of a query into its line."""
    lines.setdefault((row["currency"], row["pool"]), {})[state] = (row["count"], row["value"])


def named(pool: CreditPool | None) -> dict[str, str] | None:
    """Return how a report refers to a pool."""
    return {"id": str(pool.pk), "name": pool.name} if pool else None


def totals(states: dict[str, tuple[int, Any]], currency: str) -> dict[str, dict[str, Any]]:
    """Return one line's figures; what is absent is zero."""
    counts = {name: states.get(name, (0, 0)) for name in (*(status.lower() for status in Status.values), "deleted")}
    issued = tuple(map(sum, zip(*counts.values(), strict=True)))
    figures = {"issued": issued, **counts, "remaining": counts["available"], "liability": counts["claimed"]}
    return {name: {"count": count, "value": written(Decimal(value), currency)} for name, (count, value) in figures.items()}
