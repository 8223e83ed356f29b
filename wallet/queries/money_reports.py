"""Finance's reports as of a time. An answer never changes afterwards (wallet.queries.as_of).

Each report is one statement. The trial balance costs what was written since the last seal before the time, and the liability
what is open besides; breakage grows with the credits, settlement with the movements.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from kernel.statements import run_statements
from wallet.ledger.movement_kinds import ACCOUNTS
from wallet.money import format_amount
from wallet.queries.as_of import AsOf
from wallet.queries.lots_at import ENDED_LOTS_AT, LOTS_AT

Line = dict[str, Any]

# What the seal states, what was written since then, and what the clock decided and nobody wrote yet.
TRIAL_BALANCE = f"""
WITH {ENDED_LOTS_AT}, fact AS (
    SELECT currency, source, target, sum(amount) AS amount FROM ledger_doubleentry
    WHERE xid >= %(xid)s::xid8 AND at <= %(at)s GROUP BY currency, source, target
    UNION ALL SELECT lot.currency, 'hold', 'wallet', returned.held
        FROM returned JOIN ledger_lot AS lot ON lot.entry_id = returned.lot_id
    UNION ALL SELECT currency, 'wallet', 'breakage', ended FROM lots
), change AS (
    SELECT currency, target AS account, amount FROM fact
    UNION ALL SELECT currency, source, -amount FROM fact
    UNION ALL SELECT DISTINCT currency, unnest(%(accounts)s::text[]), 0 FROM fact
    UNION ALL SELECT code.key, account.key, account.value::numeric
        FROM jsonb_each(%(position)s::jsonb) AS code, jsonb_each_text(code.value) AS account
)
SELECT currency, account, sum(amount) AS balance FROM change
GROUP BY currency, account ORDER BY currency, array_position(%(accounts)s::text[], account)
"""
ENDS = ("7_days", "30_days", "90_days", "365_days", "later", "never")  # after the report's time
END = """
CASE WHEN ends IS NULL THEN 'never' WHEN ends <= %(at)s + interval '7 days' THEN '7_days'
    WHEN ends <= %(at)s + interval '30 days' THEN '30_days' WHEN ends <= %(at)s + interval '90 days' THEN '90_days'
    WHEN ends <= %(at)s + interval '365 days' THEN '365_days' ELSE 'later' END
"""
LIABILITY = f"""
WITH {LOTS_AT}, owing AS (SELECT currency, {END} AS ends, spendable_from, owed, held FROM lots WHERE owed <> 0 OR held <> 0)
SELECT currency, ends, coalesce(sum(owed) FILTER (WHERE spendable_from <= %(at)s), 0) AS available,
    coalesce(sum(owed) FILTER (WHERE spendable_from > %(at)s), 0) AS pending, sum(held) AS held, sum(owed + held) AS total,
    count(*) AS credits
FROM owing GROUP BY currency, ends ORDER BY currency, array_position(%(ends)s::text[], ends)
"""
BREAKAGE = f"""
WITH {ENDED_LOTS_AT}, lapse AS (
    SELECT entry_id, currency, lapsed FROM lots WHERE lapsed <> 0
    UNION ALL SELECT entry_id, currency, lapsed FROM ledger_lot AS lot WHERE lapsed <> 0 AND opened_at <= %(at)s
        AND NOT EXISTS (SELECT FROM lots WHERE lots.entry_id = lot.entry_id)
)
SELECT lapse.currency, asset.pool_id AS pool, pool.name AS pool_name, sum(lapse.lapsed) AS amount, count(*) AS credits
FROM lapse JOIN ledger_entry AS entry ON entry.id = lapse.entry_id
JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id
GROUP BY lapse.currency, asset.pool_id, pool.name ORDER BY lapse.currency, pool.name, asset.pool_id
"""
# From the headers of the movements; the trial balance is from their postings.
SETTLEMENT = """
SELECT movement.currency, service.id AS service, service.name AS service_name,
    coalesce(sum(movement.amount) FILTER (WHERE movement.kind <> 'REFUND'), 0) AS captured,
    coalesce(sum(movement.amount) FILTER (WHERE movement.kind = 'REFUND'), 0) AS refunded,
    count(DISTINCT movement.payment_id) AS payments
FROM ledger_movement AS movement JOIN accounts_service AS service ON service.id = movement.service_id
WHERE movement.kind IN ('SPEND', 'CAPTURE', 'REFUND') AND movement.at <= %(at)s
GROUP BY movement.currency, service.id, service.name ORDER BY movement.currency, service.name
"""
COLUMNS = {
    "trial-balance": ("currency", "account", "debit", "credit"),
    "liability": ("currency", "ends", "available", "pending", "held", "total", "credits"),
    "breakage": ("currency", "pool", "pool_name", "amount", "credits"),
    "settlement": ("currency", "service", "service_name", "captured", "refunded", "net", "payments"),
}


def read(statement: str, as_of: AsOf) -> list[Any]:
    """Return the rows of a report."""
    return run_statements({"report": statement}, as_of.parameters | {"accounts": list(ACCOUNTS), "ends": list(ENDS)})["report"]


def with_amounts(row: Any, names: Sequence[str], **more: Any) -> Line:
    """Return a row with its amounts as text."""
    amounts = {name: format_amount(getattr(row, name), row.currency) for name in names}
    return {**row._asdict(), **amounts, **more}


def trial_balance(as_of: AsOf) -> list[Line]:
    """Return the balance of each account per currency: what is owed or was earned is a credit, what was issued a debit."""
    return [trial_line(row) for row in read(TRIAL_BALANCE, as_of)]


def trial_line(row: Any) -> Line:
    """Return the balance of one account, as a debit or as a credit."""
    debit, credit = max(-row.balance, Decimal(0)), max(row.balance, Decimal(0))
    amounts = {"debit": format_amount(debit, row.currency), "credit": format_amount(credit, row.currency)}
    return {"currency": row.currency, "account": row.account} | amounts


def liability(as_of: AsOf) -> list[Line]:
    """Return what is owed to customers per currency, by when it ends: one of ENDS."""
    return [with_amounts(row, ("available", "pending", "held", "total")) for row in read(LIABILITY, as_of)]


def breakage(as_of: AsOf) -> list[Line]:
    """Return what lapsed of claimed credits per currency and pool."""
    return [with_amounts(row, ("amount",)) for row in read(BREAKAGE, as_of)]


def settlement(as_of: AsOf) -> list[Line]:
    """Return per currency and service what was captured and refunded, and the difference, which the service is due."""
    return [
        with_amounts(row, ("captured", "refunded"), net=format_amount(row.captured - row.refunded, row.currency))
        for row in read(SETTLEMENT, as_of)
    ]


REPORTS = {"trial-balance": trial_balance, "liability": liability, "breakage": breakage, "settlement": settlement}


def csv_lines(name: str, lines: Sequence[Line]) -> list[list[Any]]:
    """Return the cells of a report's lines in the order of its COLUMNS."""
    return [[line[column] for column in COLUMNS[name]] for line in lines]
