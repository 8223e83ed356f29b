"""The leaves of seals of version 2: one for each claim, and one for each movement with all its postings.

PostgreSQL writes the text that is hashed, so that sealing and verifying cannot differ: a JSON array without spaces, amounts
with four decimals, times in UTC with six. A claim's begins as in version 1 and ends with the times between which it can be
spent.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import connections

from wallet.ledger import movement_kinds
from wallet.ledger.movement_kinds import CLAIM, KINDS

TIME = "to_json(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text"
AMOUNT = "to_json({column}::text)::text"
TEXT = "to_json({column})::text"


def json_array(*parts: str) -> str:
    """Return SQL for a JSON array of SQL texts; NULL becomes null."""
    values = ", ',', ".join(f"coalesce({part}, 'null')" for part in parts)
    return f"concat('[', {values}, ']')"


CLAIM_LEAF = json_array(
    *(TEXT.format(column=name) for name in ("id", "kind", "asset_id", "user_id")),
    AMOUNT.format(column="amount"),
    TEXT.format(column="currency"),
    TIME.format(column="claimed_at"),
    *(TEXT.format(column=name) for name in ("request_key", "actor_id")),
    "xid::text",
    *(TIME.format(column=name) for name in ("spendable_from", "spendable_until")),
)
POSTING_LEAF = json_array(
    "posting.position::text",
    TEXT.format(column="posting.lot_id"),
    AMOUNT.format(column="posting.amount"),
    TIME.format(column="posting.spendable_until"),
)
MOVEMENT_LEAF = json_array(
    *(TEXT.format(column=name) for name in ("id", "kind", "user_id", "currency")),
    "number::text",
    AMOUNT.format(column="amount"),
    TIME.format(column="at"),
    *(TEXT.format(column=name) for name in ("payment_id", "claim_id", "service_id", "reference")),
    AMOUNT.format(column="order_total"),
    TIME.format(column="held_until"),
    AMOUNT.format(column="shortfall"),
    *(TEXT.format(column=name) for name in ("reason", "note_digest", "request_key", "fingerprint", "actor_id", "channel")),
    "xid::text",
    f"(SELECT concat('[', string_agg({POSTING_LEAF}, ',' ORDER BY posting.position), ']') FROM ledger_posting AS posting"
    " WHERE posting.movement_id = movement.id)",
)
# Each part reads as many rows as are wanted, in the order of its index (entry_commit_order, movement_commit_order): a seal
# costs its own leaves, however many are not sealed yet.
LEAVES = f"""
SELECT id, xid::text::bigint AS number, kind, currency, amount, data FROM (
    (SELECT id, xid, kind, currency, amount, {CLAIM_LEAF} AS data FROM ledger_entry
    WHERE {{where}} ORDER BY xid, id LIMIT {{limit}})
    UNION ALL
    (SELECT id, xid, kind, currency, amount, {MOVEMENT_LEAF} FROM ledger_movement AS movement
    WHERE {{where}} ORDER BY xid, id LIMIT {{limit}})
) AS leaf ORDER BY leaf.xid, leaf.id LIMIT {{limit}}
"""
IN_RANGE = "xid >= %(start)s::xid8 AND xid < %(end)s::xid8"
NEEDS_VERSION_2 = f"""
SELECT EXISTS (SELECT FROM ledger_movement WHERE {IN_RANGE}) OR EXISTS (
    SELECT FROM ledger_entry WHERE {IN_RANGE} AND (spendable_from IS NOT NULL OR spendable_until IS NOT NULL))
"""
SUMS_BEFORE = f"""
SELECT kind, currency, sum(amount) FROM (
    SELECT kind, currency, amount FROM ledger_entry WHERE {IN_RANGE}
    UNION ALL SELECT kind, currency, amount FROM ledger_movement WHERE {IN_RANGE}
) AS moved GROUP BY kind, currency
"""
Leaf = tuple[Any, int, str, str, Decimal, str]  # id, xid, kind, currency, amount, the text that is hashed
KindSums = dict[str, dict[str, Decimal]]  # by currency and kind
Position = dict[str, dict[str, Decimal]]  # by currency and account


def query(sql: str, start: int, end: int, using: str = "default") -> list[tuple[Any, ...]]:
    """Return the rows of a statement about a range of transactions."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, {"start": str(start), "end": str(end)})
        return list(cursor.fetchall())


def needs_version_2(start: int, end: int) -> bool:
    """Return whether a range has what version 1 cannot state: a movement, or a claim that can be spent for a time only."""
    return bool(query(NEEDS_VERSION_2, start, end)[0][0])


def read_leaves(start: int, end: int, limit: int | None = None, using: str = "default") -> list[Leaf]:
    """Return the leaves with `start` <= xid < `end` in sealing order, at most `limit`."""
    most = "ALL" if limit is None else str(int(limit))
    return query(LEAVES.format(where=IN_RANGE, limit=most), start, end, using)


def read_leaf(identity: Any, xid: int) -> str:
    """Return the text of one claim's or movement's leaf."""
    (found,) = (leaf for leaf in read_leaves(xid, xid + 1) if leaf[0] == identity)
    return found[5]


def sums_by_kind(leaves: Iterable[Leaf]) -> KindSums:
    """Return the sums of leaves per currency and kind."""
    sums: KindSums = defaultdict(lambda: defaultdict(Decimal))
    for _, _, kind, currency, amount, _ in leaves:
        sums[currency][kind] += amount
    return sums


def sums_before(end: int, using: str = "default") -> KindSums:
    """Return the sums of all that was recorded by transactions before `end`, per currency and kind."""
    sums: KindSums = defaultdict(dict)
    for kind, currency, amount in query(SUMS_BEFORE, 0, end, using):
        sums[currency][kind] = amount
    return sums


def position_after(position: Position, sums: KindSums) -> Position:
    """Return the balance of each account after these movements: double entry, so that a currency's accounts add up to zero."""
    after = {currency: dict(accounts) for currency, accounts in position.items()}
    for currency, kinds in sums.items():
        accounts = after.setdefault(currency, dict.fromkeys(movement_kinds.ACCOUNTS, Decimal(0)))
        for kind, amount in kinds.items():
            how = CLAIM if kind == "CLAIM" else KINDS[kind]
            accounts[how.source] -= amount
            accounts[how.target] += amount
    return after
