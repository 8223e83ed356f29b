"""How a user's balances changed lately, by day. The cost is bounded, however long the history is."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from wallet.ledger.movement_kinds import lot_change_sql

MOST_CHANGES = 200  # claims, and as many movements
# What a user owns is available or held: a hold and its release change neither sum.
CHANGE = f"({lot_change_sql('available', 'kind', 'amount')} + {lot_change_sql('held', 'kind', 'amount')})"
# `reach`: when there are more changes than are read, the time from which all of them are.
CHANGES = f"""
WITH claims AS (
    SELECT currency, claimed_at AS at, amount FROM ledger_entry WHERE user_id = %(user)s AND claimed_at >= %(since)s
    ORDER BY claimed_at DESC, id DESC LIMIT %(most)s
), movements AS (
    SELECT currency, at, {CHANGE} AS amount FROM ledger_movement WHERE user_id = %(user)s AND at >= %(since)s
    ORDER BY at DESC, id DESC LIMIT %(most)s
), reach AS (
    SELECT max(oldest) AS at FROM (
        SELECT min(at) AS oldest FROM claims HAVING count(*) = %(most)s
        UNION ALL SELECT min(at) FROM movements HAVING count(*) = %(most)s
    ) AS part
)
SELECT currency, (change.at AT TIME ZONE %(zone)s)::date AS day, sum(amount) AS change,
    (max(reach.at) AT TIME ZONE %(zone)s)::date AS reach
FROM (SELECT * FROM claims UNION ALL SELECT * FROM movements) AS change CROSS JOIN reach
WHERE amount <> 0 AND (reach.at IS NULL OR change.at >= reach.at) GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  (made of the constants above)


def balance_changes(user_id: UUID, since: datetime, time_zone: str) -> list[Any]:
    """Return rows of `currency`, `day` (of the IANA zone), `change` and `reach`, oldest first, from `since` on.

    `reach` is the first day of which there are rows when older ones were left out, else None.
    """
    parameters = {"user": user_id, "since": since, "zone": time_zone, "most": MOST_CHANGES}
    return run_statements({"changes": CHANGES}, parameters)["changes"]


def first_day_read(rows: list[Any]) -> date | None:
    """Return the day before which nothing was read, None when everything was."""
    reach: date | None = rows[0].reach if rows else None
    return reach
