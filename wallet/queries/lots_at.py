"""SQL for what credits had at a time: their state now, without what moved them since, and with what the clock had decided."""

from wallet.ledger.movement_kinds import lot_change_sql

CHANGES = ", ".join(
    f"sum({lot_change_sql(name, 'movement.kind', 'posting.amount')}) AS {name}" for name in ("available", "held", "lapsed")
)
# Costs what is open, and what was written since the last seal before %(at)s. An ended hold gives back what it still has, and
# what an ended credit has left has lapsed, written down or not: the sweep's lines, dated at the end, change nothing here.
TEMPLATE = f"""
moved AS MATERIALIZED (
    SELECT posting.lot_id, {CHANGES}, bool_or(posting.spendable_until IS NOT NULL) AS renewed
    FROM ledger_movement AS movement JOIN ledger_posting AS posting ON posting.movement_id = movement.id
    WHERE movement.xid >= %(xid)s::xid8 AND movement.at > %(at)s GROUP BY posting.lot_id
), returned AS MATERIALIZED (
    SELECT part.lot_id, sum(part.held) AS held, max(payment.held_until) AS at
    FROM ledger_payment AS payment JOIN ledger_allocation AS part ON part.payment_id = payment.id
    WHERE payment.is_held AND payment.held_until <= %(at)s AND part.held > 0 GROUP BY part.lot_id
), candidate AS (
    {{candidates}}
    UNION SELECT lot_id FROM moved
), lot_at AS (
    SELECT lot.entry_id, lot.user_id, lot.currency, lot.spendable_from,
        CASE WHEN moved.renewed THEN coalesce(
            (SELECT posting.spendable_until FROM ledger_posting AS posting
                JOIN ledger_movement AS movement ON movement.id = posting.movement_id
                WHERE posting.lot_id = lot.entry_id AND posting.spendable_until IS NOT NULL AND movement.at <= %(at)s
                ORDER BY movement.number DESC LIMIT 1),
            (SELECT spendable_until FROM ledger_entry WHERE id = lot.entry_id)) ELSE lot.spendable_until END AS ends,
        CASE WHEN moved.lot_id IS NULL THEN lot.moved_at ELSE coalesce(
            (SELECT max(movement.at) FROM ledger_posting AS posting
                JOIN ledger_movement AS movement ON movement.id = posting.movement_id
                WHERE posting.lot_id = lot.entry_id AND movement.at <= %(at)s), lot.opened_at) END AS moved_at,
        returned.at AS returned_at,
        lot.available - coalesce(moved.available, 0) + coalesce(returned.held, 0) AS available,
        lot.held - coalesce(moved.held, 0) - coalesce(returned.held, 0) AS held,
        lot.lapsed - coalesce(moved.lapsed, 0) AS lapsed
    FROM candidate JOIN ledger_lot AS lot USING (entry_id)
    LEFT JOIN moved ON moved.lot_id = lot.entry_id LEFT JOIN returned ON returned.lot_id = lot.entry_id
    WHERE lot.opened_at <= %(at)s
), lots AS MATERIALIZED (
    SELECT entry_id, user_id, currency, spendable_from, ends, held, greatest(ends, moved_at, returned_at) AS lapsed_at,
        CASE WHEN ends <= %(at)s THEN 0 ELSE available END AS owed,
        CASE WHEN ends <= %(at)s THEN available ELSE 0 END AS ended,
        lapsed + CASE WHEN ends <= %(at)s THEN available ELSE 0 END AS lapsed
    FROM lot_at
)
"""
# Every credit in which something was left.
LOTS_AT = TEMPLATE.format(
    candidates="""SELECT entry_id FROM ledger_lot WHERE is_open
    UNION SELECT part.lot_id FROM ledger_payment AS payment JOIN ledger_allocation AS part ON part.payment_id = payment.id
        WHERE payment.is_held"""
)
# Those that had ended, of which something may have lapsed without being written down: few, as the sweep writes soon.
ENDED_LOTS_AT = TEMPLATE.format(
    candidates="""SELECT entry_id FROM ledger_lot WHERE is_open AND spendable_until <= %(at)s
    UNION SELECT lot_id FROM returned"""
)
