"""The claimed credits of which something is left to spend, by their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kernel.statements import run_statements

# The index lot_draw is by priority before the end: each of the three priorities is asked for its first rows, so that a page
# reads no more than its own length of each, however many credits are open.
OPEN = """
SELECT lot.*, asset.title, coalesce(pool.time_zone, 'UTC') AS time_zone, service.name AS service_name,
    lot.spendable_from > statement_timestamp() AS is_pending
FROM (
    SELECT found.* FROM unnest(%(currencies)s::text[]) AS asked (currency) CROSS JOIN generate_series(1, 3) AS priority
    CROSS JOIN LATERAL (
        SELECT lot.entry_id, lot.currency, lot.total, lot.available, lot.held, lot.spendable_from, lot.spendable_until,
            lot.service_id
        FROM ledger_lot AS lot
        WHERE lot.user_id = %(user)s AND lot.currency = asked.currency AND lot.draw_priority = priority AND lot.is_open
            AND lot.clawback_due = 0 AND (lot.spendable_until IS NULL OR lot.spendable_until > statement_timestamp())
        ORDER BY lot.spendable_until, lot.opened_at, lot.entry_id LIMIT %(stop)s
    ) AS found
    ORDER BY spendable_until, entry_id OFFSET %(start)s LIMIT %(stop)s - %(start)s
) AS lot
JOIN ledger_entry AS entry ON entry.id = lot.entry_id JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id
LEFT JOIN accounts_service AS service ON service.id = lot.service_id
ORDER BY lot.spendable_until, lot.entry_id
"""


@dataclass(frozen=True)
class OpenCredits:
    """The open credits of a user in some currencies, soonest end first, those without an end last; slicing reads a page."""

    user_id: UUID
    currencies: Sequence[str]

    def __getitem__(self, part: slice) -> list[Any]:
        """Return the credits of this part: the figures and dates of the lot, its title and time zone."""
        parameters = {"user": self.user_id, "currencies": list(self.currencies), "start": part.start or 0, "stop": part.stop}
        return run_statements({"lots": OPEN}, parameters)["lots"] if self.currencies else []
