"""One history of a wallet: claims, payments, refunds, lapses and changes, in the order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from kernel.statements import run_statements

CLAIM_KINDS = ("CLAIM",)
# The keys of both tables are read by their indexes (entry_history, movement_history), as many as the page ends at, and merged;
# then the rows of the page. PostgreSQL leaves out the joins that only a search needs.
HISTORY = """
WITH page AS (
    SELECT * FROM (
        (SELECT entry.id, entry.claimed_at AS at, true AS is_claim
        FROM ledger_entry AS entry LEFT JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
        WHERE entry.user_id = %(user)s {claim_conditions}
        ORDER BY entry.claimed_at {direction}, entry.id {direction} LIMIT %(offset)s + %(limit)s)
        UNION ALL
        (SELECT movement.id, movement.at, false
        FROM ledger_movement AS movement LEFT JOIN ledger_payment AS payment ON payment.id = movement.payment_id
        LEFT JOIN accounts_service AS service ON service.id = movement.service_id
        LEFT JOIN ledger_entry AS claim ON claim.id = movement.claim_id
        LEFT JOIN assets_cashbackasset AS asset ON asset.id = claim.asset_id
        WHERE movement.user_id = %(user)s {movement_conditions}
        ORDER BY movement.at {direction}, movement.id {direction} LIMIT %(offset)s + %(limit)s)
    ) AS found ORDER BY at {direction}, id {direction} OFFSET %(offset)s LIMIT %(limit)s
)
SELECT page.id, page.id AS pk, page.at, coalesce(movement.kind, claim.kind) AS kind,
    coalesce(movement.amount, claim.amount) AS amount, coalesce(movement.currency, claim.currency) AS currency,
    movement.payment_id, claim.id AS claim_id, movement.reason, asset.title, pool.name AS pool_name,
    service.name AS service_name, payment.reference AS order_reference,
    coalesce(movement.reference, payment.reference) AS reference
FROM page LEFT JOIN ledger_movement AS movement ON movement.id = page.id AND NOT page.is_claim
LEFT JOIN ledger_payment AS payment ON payment.id = movement.payment_id
LEFT JOIN accounts_service AS service ON service.id = movement.service_id
LEFT JOIN ledger_entry AS claim ON claim.id = CASE WHEN page.is_claim THEN page.id ELSE movement.claim_id END
LEFT JOIN assets_cashbackasset AS asset ON asset.id = claim.asset_id
LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id
ORDER BY page.at {direction}, page.id {direction}
"""
CONDITIONS = {
    "kinds": "AND {kind} = ANY(%(kinds)s)",
    "currency": "AND {table}.currency = %(currency)s",
    "since": "AND {table}.{at} >= %(since)s",
    "until": "AND {table}.{at} < %(until)s",
    "start_at": "AND ({table}.{at}, {table}.id) {operator} (%(start_at)s::timestamptz, %(start_id)s::uuid)",
    "pattern": "AND ({text})",
}
TITLE_MATCHES = "upper(asset.title) LIKE upper(%(pattern)s)"
ORDER_MATCHES = "upper(payment.reference) LIKE upper(%(pattern)s) OR upper(service.name) LIKE upper(%(pattern)s)"
CLAIM = {"table": "entry", "kind": "'CLAIM'", "at": "claimed_at", "text": TITLE_MATCHES}
MOVEMENT = {"table": "movement", "kind": "movement.kind", "at": "at", "text": f"{ORDER_MATCHES} OR {TITLE_MATCHES}"}


@dataclass(frozen=True)
class WalletHistory:
    """The history of a user, or a part of it; slicing reads a page, newest first.

    Arguments:
        kinds: CLAIM_KINDS or kinds of movements; empty: all.
        since: the first time, inclusive.
        until: the last time, exclusive.
        text: part of a credit's title, of an order's reference or of a service's name, in whatever case.
    """

    user_id: UUID
    kinds: Sequence[str] = ()
    currency: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def __getitem__(self, part: slice) -> list[Any]:
        """Return the rows of this part, newest first."""
        offset = part.start or 0
        return self.read(limit=part.stop - offset, offset=offset)

    def read(self, *, limit: int, offset: int = 0, descending: bool = True, start: tuple[Any, Any] | None = None) -> list[Any]:
        """Return up to `limit` rows by time: kind, at, amount, currency, payment, claim, service, references, reason, title.

        Arguments:
            offset: how many rows to leave out.
            start: time and id of the row after which to begin; None: the first row.
        """
        start_at, start_id = start or (None, None)
        given = {
            "kinds": list(self.kinds),
            "currency": self.currency,
            "since": self.since,
            "until": self.until,
            "pattern": self.text and f"%{connection.ops.prep_for_like_query(self.text)}%",
            "start_at": start_at,
        }
        filters = {name: value for name, value in given.items() if value}
        parameters = {"user": self.user_id, "limit": limit, "offset": offset, "start_id": start_id} | filters
        operator = "<" if descending else ">"
        statement = HISTORY.format(
            direction="DESC" if descending else "ASC",
            claim_conditions=conditions_sql(filters, operator=operator, **CLAIM),
            movement_conditions=conditions_sql(filters, operator=operator, **MOVEMENT),
        )
        return run_statements({"history": statement}, parameters)["history"]


def conditions_sql(filters: dict[str, Any], **names: str) -> str:
    """Return SQL for the filters that are given."""
    return " ".join(condition.format(**names) for name, condition in CONDITIONS.items() if name in filters)
