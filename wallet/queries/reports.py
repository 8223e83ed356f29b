"""Reports: the summary of what became of issued credits, and the rows of credits and ledger entries in exports."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from kernel.timestamps import format_timestamp
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool
from wallet.ledger.models import Entry
from wallet.money import format_amount
from wallet.queries.ownership import OWNERSHIP_COLUMNS, ownership_row
from wallet.queries.supply import States, supply_by

CREDIT_COLUMNS = (*OWNERSHIP_COLUMNS, "expires_at", "generation", "recreated_from", "issued_at", "issued_by")
ENTRY_COLUMNS = ("entry", "claimed_at", "user", "amount", "currency", "asset", "title", "pool", "actor", "request_key")


def summary_report(pool_id: UUID | None = None, currency: str | None = None) -> list[dict[str, Any]]:
    """Return per currency and pool the number and value of credits that were issued, and of each state since.

    Each line: `currency`, `pool` (id and name, or None), and `{count, value}` for `issued`, `available`, `claimed`,
    `expired`, `deleted`, `remaining` (may still be claimed) and `liability` (equal to `claimed`, from before credits could be
    spent: what is owed now is in money_reports.liability). `issued` counts every row ever inserted: the sum of available,
    claimed, expired and deleted.
    """
    wanted = Q(pool=pool_id) if pool_id else Q()
    if currency:
        wanted &= Q(currency=currency)
    lines = supply_by(wanted, "currency", "pool")
    pools = CreditPool.objects.in_bulk([pool for _, pool in lines if pool])
    ordered = sorted(lines.items(), key=lambda line: (line[0][0], str(line[0][1] or "")))
    return [
        {"currency": code, "pool": pool_reference(pools.get(pool)), **line_totals(states, code)}
        for (code, pool), states in ordered
    ]


def pool_reference(pool: CreditPool | None) -> dict[str, str] | None:
    """Return the id and name of a pool; None for None."""
    return {"id": str(pool.pk), "name": pool.name} if pool else None


def line_totals(states: States, currency: str) -> dict[str, dict[str, Any]]:
    """Return count and value of each column of the summary; absent states are zero."""
    counts = {name: states.get(name, (0, 0)) for name in (*(status.lower() for status in AssetStatus.values), "deleted")}
    issued = tuple(map(sum, zip(*counts.values(), strict=True)))
    figures = {
        "issued": issued,
        **counts,
        "remaining": tuple(map(sum, zip(counts["scheduled"], counts["available"], strict=True))),
        "liability": counts["claimed"],
    }
    return {
        name: {"count": count, "value": format_amount(Decimal(value), currency)} for name, (count, value) in figures.items()
    }


def credit_row(asset: CashbackAsset) -> dict[str, Any]:
    """Return the exported row of a credit, keyed by CREDIT_COLUMNS."""
    return {
        **ownership_row(asset),
        "expires_at": format_timestamp(asset.expires_at),
        "generation": asset.generation,
        "recreated_from": asset.recreated_from_id,
        "issued_at": format_timestamp(asset.created_at),
        "issued_by": asset.created_by.email if asset.created_by else None,
    }


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return the exported row of a ledger entry, keyed by ENTRY_COLUMNS."""
    return {
        "entry": entry.pk,
        "claimed_at": format_timestamp(entry.claimed_at),
        "user": entry.user.email,
        "amount": format_amount(entry.amount, entry.currency),
        "currency": entry.currency,
        "asset": entry.asset_id,
        "title": entry.asset.title,
        "pool": entry.asset.pool.name if entry.asset.pool else None,
        "actor": entry.actor.email,
        "request_key": entry.request_key,
    }
