"""A wallet's balances per currency, now or at an earlier time. What the clock has decided counts, written down or not."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from wallet.ledger.movement_kinds import DATED_LOT, LASTING_ENTRY, lot_change_sql

ENDING_SOON_DAYS = 7

# Lasting credits are summed when they move (LastingChange). The others are read one by one where they are open: the partial
# indexes lot_dated and payment_held_of_user hold nothing else, however long the history is. What an ended hold still has comes
# back to credits that have not ended.
NOW = f"""
WITH lasting AS (
    SELECT currency, sum(amount) AS available FROM (
        SELECT currency, lasting AS amount FROM ledger_sealedbalance WHERE user_id = %(user)s
        UNION ALL
        SELECT currency, amount FROM ledger_entry WHERE user_id = %(user)s AND {LASTING_ENTRY}
            AND xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
        UNION ALL
        SELECT currency, amount FROM ledger_lastingchange WHERE user_id = %(user)s
    ) AS part GROUP BY currency HAVING sum(amount) <> 0
), dated AS (
    SELECT currency, available, spendable_from, spendable_until FROM ledger_lot AS lot
    WHERE user_id = %(user)s AND is_open AND {DATED_LOT} AND clawback_due = 0
        AND (spendable_until IS NULL OR spendable_until > statement_timestamp())
), ongoing AS (
    SELECT currency, sum(held) AS held FROM ledger_payment
    WHERE user_id = %(user)s AND is_held AND held_until > statement_timestamp() GROUP BY currency
), back AS (
    SELECT payment.currency, part.held AS available, lot.spendable_from, lot.spendable_until
    FROM ledger_payment AS payment JOIN ledger_allocation AS part ON part.payment_id = payment.id
    JOIN ledger_lot AS lot ON lot.entry_id = part.lot_id
    WHERE payment.user_id = %(user)s AND payment.is_held AND payment.held_until <= statement_timestamp()
        AND lot.clawback_due = 0 AND (lot.spendable_until IS NULL OR lot.spendable_until > statement_timestamp())
), spendable AS (
    SELECT * FROM dated UNION ALL SELECT * FROM back
    UNION ALL SELECT currency, available, '-infinity'::timestamptz, NULL FROM lasting
), summed AS (
    SELECT currency,
        coalesce(sum(available) FILTER (WHERE spendable_from <= statement_timestamp()), 0) AS available,
        coalesce(sum(available) FILTER (WHERE spendable_from > statement_timestamp()), 0) AS pending,
        coalesce(sum(available) FILTER (WHERE spendable_until <= statement_timestamp() + %(soon)s * interval '1 day'), 0)
            AS ending_soon,
        min(spendable_until) FILTER (WHERE spendable_until <= statement_timestamp() + %(soon)s * interval '1 day') AS ending_at
    FROM spendable GROUP BY currency
)
SELECT currency, coalesce(summed.available, 0) AS available, coalesce(ongoing.held, 0) AS held,
    coalesce(summed.pending, 0) AS pending, coalesce(summed.ending_soon, 0) AS ending_soon, summed.ending_at
FROM summed FULL JOIN ongoing USING (currency) ORDER BY currency
"""
AVAILABLE_CHANGE = lot_change_sql("available", "movement.kind", "posting.amount")
HELD_CHANGE = lot_change_sql("held", "movement.kind", "posting.amount")
# The facts up to then, replayed: what each credit had, when it ended as far as was known then, and which holds were ongoing.
REPLAY = f"""
posted AS (
    SELECT posting.lot_id, movement.payment_id, {AVAILABLE_CHANGE} AS available, {HELD_CHANGE} AS held, posting.spendable_until,
        movement.number
    FROM ledger_movement AS movement JOIN ledger_posting AS posting ON posting.movement_id = movement.id
    WHERE movement.user_id = %(user)s AND movement.at <= %(at)s
), holds AS (
    SELECT posted.payment_id, posted.lot_id, sum(posted.held) AS held, began.held_until > %(at)s AS ongoing
    FROM posted JOIN ledger_movement AS began ON began.id = posted.payment_id
    GROUP BY posted.payment_id, posted.lot_id, began.held_until HAVING sum(posted.held) > 0
), lots AS (
    SELECT lot.entry_id, lot.currency, lot.spendable_from, lot.total + coalesce((SELECT sum(available) FROM posted
            WHERE posted.lot_id = lot.entry_id), 0) AS available,
        coalesce((SELECT sum(held) FROM holds WHERE holds.lot_id = lot.entry_id AND ongoing), 0) AS held,
        coalesce((SELECT sum(held) FROM holds WHERE holds.lot_id = lot.entry_id AND NOT ongoing), 0) AS back,
        coalesce((SELECT spendable_until FROM posted WHERE posted.lot_id = lot.entry_id AND spendable_until IS NOT NULL
            ORDER BY number DESC LIMIT 1), entry.spendable_until) AS spendable_until
    FROM ledger_lot AS lot JOIN ledger_entry AS entry ON entry.id = lot.entry_id
    WHERE entry.user_id = %(user)s AND lot.opened_at <= %(at)s
), ongoing AS (
    SELECT *, CASE WHEN spendable_until <= %(at)s THEN 0 ELSE available + back END AS spendable FROM lots
)
"""
AS_OF = f"""
WITH {REPLAY}
SELECT currency, coalesce(sum(spendable) FILTER (WHERE spendable_from <= %(at)s), 0) AS available, sum(held) AS held,
    coalesce(sum(spendable) FILTER (WHERE spendable_from > %(at)s), 0) AS pending,
    coalesce(sum(spendable) FILTER (WHERE spendable_until <= %(at)s + %(soon)s * interval '1 day'), 0) AS ending_soon,
    min(spendable_until) FILTER (WHERE spendable > 0 AND spendable_until <= %(at)s + %(soon)s * interval '1 day') AS ending_at
FROM ongoing GROUP BY currency HAVING sum(spendable) > 0 OR sum(held) > 0 ORDER BY currency
"""


def wallet_balances(user_id: UUID, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """Return per currency what the user can spend (`available`), what is `held` and `pending`, and their sum, the `balance`.

    Also `ending_soon`, the part of the credits that ends within 7 days, and `ending_at`, when the first of it does, or None.
    Currencies in which nothing is left are absent. A time in the past costs the history up to then; now costs what is open.
    """
    parameters = {"user": user_id, "at": as_of, "soon": ENDING_SOON_DAYS}
    rows = run_statements({"balances": NOW if as_of is None else AS_OF}, parameters)["balances"]
    return [balance_of(row) for row in rows]


def balance_of(row: Any) -> dict[str, Any]:
    """Return the balances of one currency."""
    balance: Decimal = row.available + row.held + row.pending
    return {"currency": row.currency, "balance": balance, **row._asdict()}
