"""One history of a wallet: claims, payments, refunds, lapses and changes, in the order of time."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from kernel.statements import run_statements

# Each part reads as many rows as the page has, in the order of its index (entry_history, movement_history).
HISTORY = """
WITH page AS (
    (SELECT entry.id, 'CLAIM' AS kind, entry.claimed_at AS at, entry.amount, entry.currency, NULL::uuid AS payment_id,
        entry.id AS claim_id, NULL::uuid AS service_id, NULL AS reference, NULL AS reason
    FROM ledger_entry AS entry WHERE entry.user_id = %(user)s {claim_conditions}
    ORDER BY entry.claimed_at {direction}, entry.id {direction} LIMIT %(limit)s)
    UNION ALL
    (SELECT movement.id, movement.kind, movement.at, movement.amount, movement.currency, movement.payment_id,
        movement.claim_id, movement.service_id, coalesce(movement.reference, began.reference), movement.reason
    FROM ledger_movement AS movement LEFT JOIN ledger_movement AS began ON began.id = movement.payment_id
    WHERE movement.user_id = %(user)s {movement_conditions}
    ORDER BY movement.at {direction}, movement.id {direction} LIMIT %(limit)s)
)
SELECT page.*, page.id AS pk, asset.title, service.name AS service_name
FROM (SELECT * FROM page ORDER BY at {direction}, id {direction} LIMIT %(limit)s) AS page
LEFT JOIN ledger_entry AS claim ON claim.id = page.claim_id LEFT JOIN assets_cashbackasset AS asset ON asset.id = claim.asset_id
LEFT JOIN accounts_service AS service ON service.id = page.service_id
ORDER BY page.at {direction}, page.id {direction}
"""
CONDITIONS = {
    "kind": "AND {kind} = %(kind)s",
    "currency": "AND {table}.currency = %(currency)s",
    "since": "AND {at} >= %(since)s",
    "until": "AND {at} < %(until)s",
    "start_at": "AND ({at}, {table}.id) {operator} (%(start_at)s::timestamptz, %(start_id)s::uuid)",
}


@dataclass(frozen=True)
class HistoryFilter:
    """Whose history, and what of it: `since` is inclusive, `until` exclusive; None: everything."""

    user_id: UUID
    filters: dict[str, str | datetime | None] = field(default_factory=dict)


def wallet_history(wanted: HistoryFilter, *, descending: bool, start: tuple[Any, Any] | None, limit: int) -> list[Any]:
    """Return up to `limit` rows by time: kind, at, amount, currency, payment, claim, service, reference, reason, title.

    Arguments:
        start: time and id of the row after which to begin; None: the first row.
    """
    parameters: dict[str, Any] = {"user": wanted.user_id, "limit": limit}
    parameters |= {name: value for name, value in wanted.filters.items() if value is not None}
    if start is not None:
        parameters |= {"start_at": start[0], "start_id": start[1]}
    names = {"operator": "<" if descending else ">"}
    statement = HISTORY.format(
        direction="DESC" if descending else "ASC",
        claim_conditions=conditions(parameters, table="entry", at="entry.claimed_at", kind="'CLAIM'", **names),
        movement_conditions=conditions(parameters, table="movement", at="movement.at", kind="movement.kind", **names),
    )
    return run_statements({"history": statement}, parameters)["history"]


def conditions(parameters: dict[str, Any], **names: str) -> str:
    """Return SQL for the filters that are given."""
    return " ".join(condition.format(**names) for name, condition in CONDITIONS.items() if name in parameters)
