"""SQL that reads events from the tables that record them anyway, in the order of transactions."""

from typing import NamedTuple

from wallet.delivery.event_types import Source


class EventTable(NamedTuple):
    """A table of events.

    Arguments:
        table, key, key_type: its name, primary key and the type of that. An index begins with (xid, key).
        kind, at, user, currency, number: SQL for these columns of a key; NULL where a table has none.
        is_seen: SQL for whether a service sees the event, about the row `event`.
        is_event: SQL for whether the row `event` is one; other rows of the table are left out.
    """

    table: str
    key: str
    key_type: str
    kind: str
    at: str
    user: str
    currency: str
    number: str
    is_seen: str
    is_event: str = "true"


# What a service sees: its own payments, and the claims of credits that it granted or that can be spent only there, with what
# happens to them later; and the credits of pools that are bound to it.
CLAIM_IS_SEEN = """(
    EXISTS (SELECT FROM ledger_lot AS lot WHERE lot.entry_id = {claim} AND lot.service_id = %(service)s)
    OR EXISTS (SELECT FROM ledger_grant AS made WHERE made.entry_id = {claim} AND made.service_id = %(service)s))"""
# The credits of a digest: a service is told of those that it sees.
CREDITS_TOLD = "jsonb_array_elements(event.payload -> 'credits')"
CREDIT_IS_SEEN = CLAIM_IS_SEEN.format(claim="(credit ->> 'claim')::uuid")
POOL_IS_SEEN = "EXISTS (SELECT FROM assets_creditpool AS pool WHERE pool.id = event.pool_id AND pool.service_id = %(service)s)"
TABLES = {
    Source.ISSUE: EventTable(
        "assets_issuance",
        "id",
        "bigint",
        "CASE WHEN event.recreated THEN 'RECREATED' ELSE 'ISSUED' END",
        "event.issued_at",
        "NULL::uuid",
        "NULL::text",
        "0",
        POOL_IS_SEEN,
    ),
    Source.CHANGE: EventTable(
        "assets_cashbackassetevent",
        "pgh_id",
        "bigint",
        "CASE WHEN event.pgh_label = 'delete' THEN 'DELETED' WHEN event.status = 'EXPIRED' THEN 'EXPIRED' ELSE 'EDITED' END",
        "event.pgh_created_at",
        "NULL::uuid",
        "NULL::text",
        "0",
        POOL_IS_SEEN,
    ),
    Source.CLAIM: EventTable(
        "ledger_entry",
        "id",
        "uuid",
        "event.kind",
        "event.claimed_at",
        "event.user_id",
        "event.currency",
        "0",
        CLAIM_IS_SEEN.format(claim="event.id"),
    ),
    Source.MOVEMENT: EventTable(
        "ledger_movement",
        "id",
        "uuid",
        "event.kind",
        "event.at",
        "event.user_id",
        "event.currency",
        "event.number",
        f"(event.service_id = %(service)s OR event.claim_id IS NOT NULL AND {CLAIM_IS_SEEN.format(claim='event.claim_id')})",
    ),
    # Of the notices, only those of credit that ends: grants and refunds are events of the ledger.
    Source.NOTICE: EventTable(
        "notices_notice",
        "id",
        "uuid",
        "event.kind",
        "event.created_at",
        "event.user_id",
        "NULL::text",
        "0",
        f"EXISTS (SELECT FROM {CREDITS_TOLD} AS credit WHERE {CREDIT_IS_SEEN})",  # noqa: S608
        "event.kind = 'ending_soon'",
    ),
}
# The transactions that a tick did not see: those that began later, and those that were running.
BEGAN_LATER, WERE_RUNNING = "event.xid >= %(next)s::xid8 AND event.xid < %(end)s::xid8", "event.xid = ANY(%(running)s::xid8[])"


def after_row(source: Source, row_source: int) -> str:
    """Return SQL for the rows of `source` that follow a row of `row_source` (0: all of them)."""
    if row_source == 0:
        return "true"
    if source == row_source:
        table = TABLES[source]
        return f"(event.xid, event.{table.key}) > (%(xid)s::xid8, %(row)s::{table.key_type})"
    return f"event.xid {'>' if source < row_source else '>='} %(xid)s::xid8"


def select_keys(source: Source, which: str, row_source: int) -> str:
    """Return a statement for the first keys of a table in the order of transactions.

    Arguments:
        which: BEGAN_LATER or WERE_RUNNING.
        row_source: the source of the row to start after, 0 for the first.
    """
    table = TABLES[source]
    key, kind = table.key, table.key_type
    number, uuid = (f"event.{key}", "NULL::uuid") if kind == "bigint" else ("NULL::bigint", f"event.{key}")
    return f"""(SELECT {source:d} AS source, event.xid, {number} AS number_id, {uuid} AS uuid_id, {table.kind} AS kind,
        {table.at} AS at, {table.user} AS user_id, {table.currency} AS currency, {table.number} AS number
    FROM {table.table} AS event
    WHERE {which} AND {table.is_event} AND {after_row(source, row_source)}
        AND pg_visible_in_snapshot(event.xid, %(snapshot)s::pg_snapshot)
    ORDER BY event.xid, event.{key} LIMIT %(limit)s)"""  # noqa: S608  (made of our own names)


def select_events(row_source: int, *, of_service: bool) -> str:
    """Return the statement for the first keys between two ticks, of all tables, with `is_seen`."""
    parts = [select_keys(source, which, row_source) for source in Source for which in (BEGAN_LATER, WERE_RUNNING)]
    seen = "CASE source " + " ".join(f"WHEN {source:d} THEN {is_seen(source)}" for source in Source) + " END"
    return f"""
    SELECT source, xid::text::bigint, coalesce(uuid_id::text, number_id::text), kind, at, user_id, currency, number,
        {seen if of_service else "true"}
    FROM ({" UNION ALL ".join(parts)} ORDER BY xid, source, number_id, uuid_id LIMIT %(limit)s) AS key
    ORDER BY xid, source, number_id, uuid_id
    """  # noqa: S608


def is_seen(source: Source) -> str:
    """Return SQL for whether a service sees the event of a key."""
    table = TABLES[source]
    column = "number_id" if table.key_type == "bigint" else "uuid_id"
    return f"(SELECT {table.is_seen} FROM {table.table} AS event WHERE event.{table.key} = key.{column})"  # noqa: S608


def count_new() -> str:
    """Return SQL for the number of events that a tick does not see, up to %(most)s of each table."""
    parts = [
        f"""(SELECT count(*) AS count FROM (
            SELECT FROM {table.table} AS event WHERE {condition} AND {table.is_event} LIMIT %(most)s) AS new)"""  # noqa: S608
        for table in TABLES.values()
        for condition in ("event.xid >= %(next)s::xid8", WERE_RUNNING)
    ]
    return f"(SELECT sum(count) FROM ({' UNION ALL '.join(parts)}) AS counted)"  # noqa: S608
