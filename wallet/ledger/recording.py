"""Append movements and their postings. PostgreSQL numbers and dates them and keeps lots, payments and allocations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from kernel.uuid7 import uuid7
from wallet.assets.change_context import channel
from wallet.ledger.allocating import Share, total

INSERT_MOVEMENTS = """\
INSERT INTO ledger_movement (id, kind, user_id, currency, amount, payment_id, claim_id, service_id, reference, order_total,
    held_until, shortfall, reason, note_digest, request_key, fingerprint, actor_id, channel)
SELECT id, kind, user_id, currency, amount, payment_id, claim_id, service_id, reference, order_total,
    clock_timestamp() + hold_seconds * interval '1 second', shortfall, reason, note_digest, request_key, fingerprint, actor_id,
    %(channel)s
FROM unnest(%(id)s::uuid[], %(kind)s::text[], %(user_id)s::uuid[], %(currency)s::text[], %(amount)s::numeric[],
    %(payment_id)s::uuid[], %(claim_id)s::uuid[], %(service_id)s::uuid[], %(reference)s::text[], %(order_total)s::numeric[],
    %(hold_seconds)s::integer[], %(shortfall)s::numeric[], %(reason)s::text[], %(note_digest)s::text[],
    %(request_key)s::text[], %(fingerprint)s::text[], %(actor_id)s::uuid[])
    WITH ORDINALITY AS movement (id, kind, user_id, currency, amount, payment_id, claim_id, service_id, reference, order_total,
        hold_seconds, shortfall, reason, note_digest, request_key, fingerprint, actor_id, place)
ORDER BY place
RETURNING id, kind, amount, at, user_id, currency, service_id, payment_id, claim_id, reference, order_total, held_until, number,
    shortfall, reason
"""
INSERT_POSTINGS = """\
INSERT INTO ledger_posting (movement_id, position, lot_id, amount, spendable_until)
SELECT * FROM unnest(%(movements)s::uuid[], %(positions)s::smallint[], %(lots)s::uuid[], %(amounts)s::numeric[],
    %(ends)s::timestamptz[])
"""
COLUMNS = (
    *("id", "kind", "user_id", "currency", "amount", "payment_id", "claim_id", "service_id", "reference", "order_total"),
    *("hold_seconds", "shortfall", "reason", "note_digest", "request_key", "fingerprint", "actor_id"),
)


@dataclass(frozen=True)
class NewMovement:
    """A movement to append, with what each lot bears of it in the order of drawing.

    `hold_seconds` counts from the insert by the database's clock. `ends` are new ends of lots.
    """

    kind: str
    user_id: UUID
    currency: str
    shares: Sequence[Share]
    id: UUID = field(default_factory=uuid7)
    payment_id: UUID | None = None
    claim_id: UUID | None = None
    service_id: UUID | None = None
    reference: str | None = None
    order_total: Decimal | None = None
    hold_seconds: int | None = None
    shortfall: Decimal | None = None
    reason: str | None = None
    note_digest: str | None = None
    request_key: str | None = None
    fingerprint: str | None = None
    actor_id: UUID | None = None
    ends: dict[UUID, datetime] = field(default_factory=dict)

    @property
    def amount(self) -> Decimal:
        """The sum of the shares."""
        return total(self.shares)


def record(movements: Sequence[NewMovement]) -> list[Any]:
    """Append the movements with their postings in one round trip; return them as recorded, in their order."""
    if not movements:
        return []
    statements = {"movements": INSERT_MOVEMENTS, "postings": INSERT_POSTINGS}
    return run_statements(statements, movement_columns(movements) | posting_columns(movements))["movements"]


def record_header(movement: NewMovement) -> Any:
    """Append a movement whose postings depend on its time; return it as recorded. `record_postings` must follow."""
    (recorded,) = run_statements({"movement": INSERT_MOVEMENTS}, movement_columns([movement]))["movement"]
    return recorded


def record_postings(movement: NewMovement) -> None:
    """Append the postings of a recorded movement."""
    run_statements({"postings": INSERT_POSTINGS}, posting_columns([movement]))


def movement_columns(movements: Sequence[NewMovement]) -> dict[str, Any]:
    """Return one list per column, for unnest."""
    columns = {name: [getattr(movement, name) for movement in movements] for name in COLUMNS}
    return columns | {"channel": channel.get()}


def posting_columns(movements: Sequence[NewMovement]) -> dict[str, Any]:
    """Return one list per column of the postings, for unnest."""
    rows = [
        (movement.id, position, share.lot_id, share.amount, movement.ends.get(share.lot_id))
        for movement in movements
        for position, share in enumerate(movement.shares, start=1)
    ]
    columns = zip(*rows, strict=True) if rows else ((),) * 5
    return dict(zip(("movements", "positions", "lots", "amounts", "ends"), map(list, columns), strict=True))
