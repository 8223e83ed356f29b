"""The journal: every movement of value as a line of double entry, up to a time, in order of time."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from kernel.replicas import read_connection
from kernel.statements import run_statements
from kernel.timestamps import format_timestamp
from wallet.ledger.movement_kinds import CLAIM, KINDS, accounts_sql
from wallet.money import DECIMALS, format_amount
from wallet.queries.as_of import AsOf
from wallet.queries.csv_export import LINES_PER_CHUNK, EscapedText, TimestampText
from wallet.queries.lots_at import ENDED_LOTS_AT
from wallet.queries.money_reports import Line

JOURNAL_COLUMNS = (
    *("at", "kind", "debit", "credit", "currency", "amount", "user", "claim", "payment", "service", "service_name"),
    *("reference", "reason"),
)
NO_ID = UUID(int=0)
# Written lines, and those that the clock decided and the sweep has yet to write: a line has no number, which would come later.
LINES = f"""
{ENDED_LOTS_AT}, line AS (
    SELECT claimed_at AS at, 'CLAIM' AS kind, '{CLAIM.source}' AS debit, '{CLAIM.target}' AS credit, currency, amount, user_id,
        id AS claim, NULL::uuid AS payment, NULL::uuid AS service, NULL AS reference, NULL AS reason
    FROM ledger_entry WHERE claimed_at <= %(at)s
    UNION ALL
    SELECT movement.at, movement.kind, account.source, account.target, movement.currency, posting.amount, movement.user_id,
        posting.lot_id, movement.payment_id, movement.service_id, movement.reference, movement.reason
    FROM ledger_movement AS movement JOIN ledger_posting AS posting ON posting.movement_id = movement.id
    JOIN (VALUES {accounts_sql()}) AS account (kind, source, target) ON account.kind = movement.kind
    WHERE movement.at <= %(at)s
    UNION ALL
    SELECT payment.held_until, 'RELEASE', 'hold', 'wallet', payment.currency, part.held, payment.user_id, part.lot_id,
        payment.id, payment.service_id, NULL, NULL
    FROM ledger_payment AS payment JOIN ledger_allocation AS part ON part.payment_id = payment.id
    WHERE payment.is_held AND payment.held_until <= %(at)s AND part.held > 0
    UNION ALL
    SELECT lapsed_at, 'LAPSE', 'wallet', 'breakage', currency, ended, user_id, entry_id, NULL, NULL, NULL, NULL
    FROM lots WHERE ended > 0
), ordered AS (
    SELECT line.*, service.name AS service_name, array_position(%(kinds)s::text[], kind) AS place,
        coalesce(payment, '{NO_ID}') AS paid
    FROM line LEFT JOIN accounts_service AS service ON service.id = line.service
)
"""
PAGE = f"""
WITH {LINES} SELECT * FROM ordered WHERE (at, place, claim, paid) > (%(after_at)s, %(place)s, %(claim)s, %(paid)s)
ORDER BY at, place, claim, paid LIMIT %(limit)s
"""
LATEST = f"WITH {LINES} SELECT * FROM ordered ORDER BY at DESC, place DESC, claim DESC, paid DESC LIMIT %(limit)s"
TOTALS = f"""
WITH {LINES}, summed AS (SELECT currency, debit, credit, sum(amount) AS amount FROM line GROUP BY currency, debit, credit),
change AS (
    SELECT currency, credit AS account, amount FROM summed UNION ALL SELECT currency, debit, -amount FROM summed
)
SELECT currency, account, sum(amount) AS balance FROM change GROUP BY currency, account
"""
DECIMALS_SQL = " ".join(f"WHEN '{code}' THEN {places}" for code, places in DECIMALS.items() if places != 2)
TIME = TimestampText.template % {"expressions": "at"}
TEXTS = {name: EscapedText.template % {"expressions": name} for name in ("service_name", "reference", "reason")}
CSV = f"""
WITH {LINES} SELECT {TIME}, kind, debit, credit, currency, round(amount, CASE currency {DECIMALS_SQL} ELSE 2 END), user_id,
    claim, payment, service, {", ".join(TEXTS.values())}
FROM ordered ORDER BY at, place, claim, paid
"""
KINDS_IN_ORDER = ("CLAIM", *KINDS)  # of lines of the same time: what returns, then what takes it


class Place(NamedTuple):
    """Where a page of the journal begins: after this line."""

    after_at: datetime
    place: int
    claim: UUID
    paid: UUID


START = Place(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), 0, NO_ID, NO_ID)


def parameters(as_of: AsOf, **more: Any) -> dict[str, Any]:
    """Return the parameters of a statement about the journal."""
    return as_of.parameters | {"kinds": list(KINDS_IN_ORDER)} | more


def journal_page(as_of: AsOf, after: Place, limit: int) -> tuple[list[Line], Place | None]:
    """Return the lines after a place, oldest first, and the place of the next page, None at the end.

    A page reads everything up to the time, and sorts it.
    """
    values = parameters(as_of, limit=limit + 1, **after._asdict())
    rows = run_statements({"page": PAGE}, values)["page"]
    last = rows[limit - 1] if len(rows) > limit else None
    return [journal_line(row) for row in rows[:limit]], last and Place(last.at, last.place, last.claim, last.paid)


def latest_lines(as_of: AsOf, limit: int) -> list[Line]:
    """Return the latest lines, newest first."""
    return [journal_line(row) for row in run_statements({"latest": LATEST}, parameters(as_of, limit=limit))["latest"]]


def journal_totals(as_of: AsOf) -> list[Any]:
    """Return the balance of each account per currency, counted over every line."""
    return run_statements({"totals": TOTALS}, parameters(as_of))["totals"]


def journal_line(row: Any) -> Line:
    """Return one line, keyed by JOURNAL_COLUMNS, in JSON types."""
    line = {"user": row.user_id, "at": format_timestamp(row.at), "amount": format_amount(row.amount, row.currency)}
    return {name: line[name] if name in line else getattr(row, name) for name in JOURNAL_COLUMNS}


def journal_csv(as_of: AsOf) -> Iterator[bytes]:
    """Yield the journal as CSV in chunks of LINES_PER_CHUNK lines, written by PostgreSQL and streamed (COPY)."""
    yield f"{','.join(JOURNAL_COLUMNS)}\n".encode()
    connection = read_connection()
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor, connection.wrap_database_errors:
        copy = connection.ops.compose_sql(f"COPY ({CSV}) TO STDOUT (FORMAT csv)", parameters(as_of))  # type: ignore[attr-defined]
        with cursor.copy(copy) as rows:
            while chunk := b"".join(islice(rows, LINES_PER_CHUNK)):
                yield chunk
