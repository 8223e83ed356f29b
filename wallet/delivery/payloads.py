"""The contents of events, in JSON types, read for one page at a time."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import connection

from kernel.timestamps import format_timestamp
from wallet.delivery.event_sql import CREDIT_IS_SEEN, CREDITS_TOLD
from wallet.delivery.event_types import Source
from wallet.money import format_amount

Row = dict[str, Any]
Data = dict[str, Any]
ISSUES = """
SELECT id, pool_id AS pool, batch_id AS batch, currency, count, value, first_id, last_id, claimable_from, channel,
    created_by_id AS created_by
FROM assets_issuance WHERE id = ANY(%(ids)s::bigint[])
"""
CHANGES = """
SELECT pgh_id AS id, pgh_obj_id AS credit, title, pool_id AS pool, batch_id AS batch, total_value AS value, currency, status,
    expires_at, recreated_from_id AS recreated_from, before
FROM assets_cashbackassetevent WHERE pgh_id = ANY(%(ids)s::bigint[])
"""
CLAIMS = """
SELECT entry.id, entry.asset_id AS credit, asset.title, asset.pool_id AS pool, entry.user_id AS user, entry.amount,
    entry.currency, entry.claimed_at, entry.spendable_from, entry.spendable_until, entry.actor_id AS actor,
    made.entry_id IS NOT NULL AS is_grant, made.service_id AS granted_by,
    made.reference AS grant_reference, made.reason AS grant_reason
FROM ledger_entry AS entry JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
LEFT JOIN ledger_grant AS made ON made.entry_id = entry.id
WHERE entry.id = ANY(%(ids)s::uuid[])
"""
MOVEMENTS = """
SELECT id, user_id AS user, currency, number, amount, at, payment_id AS payment, claim_id AS claim, service_id AS service,
    reference, order_total, held_until, shortfall, reason, actor_id AS actor, channel
FROM ledger_movement WHERE id = ANY(%(ids)s::uuid[])
"""
POSTINGS = """
SELECT movement_id, lot_id AS claim, amount, spendable_until FROM ledger_posting WHERE movement_id = ANY(%(ids)s::uuid[])
ORDER BY movement_id, position
"""
NOTICES = f"""
SELECT event.id, event.user_id AS user, event.payload ->> 'day' AS day, coalesce((
    SELECT jsonb_agg(credit ORDER BY place) FROM {CREDITS_TOLD} WITH ORDINALITY AS told (credit, place)
    WHERE %(service)s::uuid IS NULL OR {CREDIT_IS_SEEN}
), '[]')::text AS credits
FROM notices_notice AS event WHERE event.id = ANY(%(ids)s::uuid[])
"""  # noqa: S608  (made of our own names)
# Columns for operators only: who acted, and the other credits that a payment drew on.
FOR_OPERATORS = ("actor", "channel", "created_by", "postings")
# Columns for the service that granted the credit, and operators.
OF_GRANTER = ("granted_by", "grant_reference", "grant_reason")


class EventKey(Protocol):
    """What names an event."""

    @property
    def source(self) -> int: ...  # noqa: D102
    @property
    def row(self) -> str: ...  # noqa: D102


class Reader(NamedTuple):
    """How the contents of one source's events are read: a statement, and a function that completes its rows."""

    statement: str
    complete: Callable[[list[Row]], None]


def read_payloads(keys: Iterable[EventKey], service: UUID | None) -> dict[tuple[int, str], Data]:
    """Return the contents of the events by source and id, by at most two statements for each source."""
    ids: dict[int, list[str]] = {}
    for key in keys:
        ids.setdefault(key.source, []).append(key.row)
    found: dict[tuple[int, str], Data] = {}
    for source, rows in ids.items():
        reader = READERS[Source(source)]
        contents = read_rows(reader.statement, rows, service)
        reader.complete(contents)
        found |= {(source, str(row["id"])): as_json(row, service) for row in contents}
    return found


def read_rows(statement: str, ids: Sequence[str], service: UUID | None = None) -> list[Row]:
    """Return the rows of a statement by column names."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"ids": list(ids), "service": service})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def add_postings(movements: list[Row]) -> None:
    """Add to each movement what it took from or gave to which claim, in the order of drawing."""
    postings: dict[Any, list[Row]] = {}
    for posting in read_rows(POSTINGS, [str(movement["id"]) for movement in movements]):
        postings.setdefault(posting.pop("movement_id"), []).append(posting)
    for movement in movements:
        movement["postings"] = [
            {name: json_value(value, movement) for name, value in posting.items()}
            for posting in postings.get(movement["id"], [])
        ]


def read_before(changes: list[Row]) -> None:
    """Replace the recorded values from before each change by those that the event states; None when nothing was edited."""
    for change in changes:
        before = json.loads(change["before"]) if change["before"] else None
        change["before"] = before and {
            "title": before["title"],
            "pool": before["pool_id"],
            "value": format_amount(Decimal(before["total_value"]), before["currency"]),
            "currency": before["currency"],
            "expires_at": format_timestamp(before["expires_at"] and datetime.fromisoformat(before["expires_at"])),
        }


def read_credits(notices: list[Row]) -> None:
    """Replace the text of each list of credits by the list."""
    for notice in notices:
        notice["credits"] = json.loads(notice["credits"])


def complete_nothing(rows: list[Row]) -> None:
    """Leave rows as they are."""


READERS = {
    Source.ISSUE: Reader(ISSUES, complete_nothing),
    Source.CHANGE: Reader(CHANGES, read_before),
    Source.CLAIM: Reader(CLAIMS, complete_nothing),
    Source.MOVEMENT: Reader(MOVEMENTS, add_postings),
    Source.NOTICE: Reader(NOTICES, read_credits),
}


def as_json(row: Row, service: UUID | None) -> Data:
    """Return what a service, or an operator, gets of a row, in JSON types; amounts have the decimals of the row's currency."""
    if service is None:
        return {name: json_value(value, row) for name, value in row.items()}
    if row.get("granted_by") != service:
        row = {name: None if name in OF_GRANTER else value for name, value in row.items()}
    return {name: json_value(value, row) for name, value in row.items() if name not in FOR_OPERATORS}


def json_value(value: Any, row: Row) -> Any:
    """Return one value of a row."""
    if isinstance(value, Decimal):
        return format_amount(value, row["currency"])
    if hasattr(value, "astimezone"):
        return format_timestamp(value)
    return value if value is None or isinstance(value, (str, int, bool, dict, list)) else str(value)
