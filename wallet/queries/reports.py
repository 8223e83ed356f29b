"""Who owns what, and what is still owed."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from io import StringIO
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Func, Max, Q, Sum, TextField, Value
from django.db.models.functions import Cast, Lower, Round

from kernel.timestamps import format_timestamp
from wallet.assets.models import DECIMALS_OF_ROW, AssetStatus, CashbackAsset, CreditPool, SupplyDelta
from wallet.assets.querysets import AssetQuerySet
from wallet.ledger.models import Entry
from wallet.ledger.querysets import EntryQuerySet
from wallet.money import format_amount

OWNERSHIP_COLUMNS = ("asset", "title", "value", "currency", "status", "owner", "claimed_at", "pool")
CREDIT_COLUMNS = (*OWNERSHIP_COLUMNS, "expires_at", "generation", "recreated_from", "issued_at", "issued_by")
ENTRY_COLUMNS = ("entry", "claimed_at", "user", "amount", "currency", "asset", "title", "pool", "actor", "request_key")
OWNER_COLUMNS = ("owner", "currency", "credits", "value", "last_claim")
ROWS_AT_ONCE = 2_000
LINES_AT_ONCE = 500  # each piece costs a system call
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What became of a group of credits: count and value by the name of the state.
States = dict[str, tuple[int, Any]]


class InstantText(Func):
    """Formats a timestamp in SQL as `format_timestamp` does."""

    template = """replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""
    output_field = TextField()


class InertText(Func):
    """Escapes a text in SQL as `escape_formula` does."""

    template = (
        "CASE WHEN left(%(expressions)s, 1) IN (" + ", ".join(f"chr({ord(start)})" for start in FORMULA) + ")"
        " THEN chr(39) || (%(expressions)s) ELSE (%(expressions)s) END"
    )
    output_field = TextField()


def ownership_rows() -> AssetQuerySet:
    """Return the assets with what the ownership report says of each, in one query: current status, owner and pool."""
    return CashbackAsset.objects.with_current_status().select_related("claimed_by", "pool")


def ownership_row(asset: CashbackAsset) -> dict[str, Any]:
    """Return one line of the report, keyed by OWNERSHIP_COLUMNS, in JSON types."""
    return {
        "asset": str(asset.pk),
        "title": asset.title,
        "value": format_amount(asset.total_value, asset.currency),
        "currency": asset.currency,
        "status": asset.current_status,
        "owner": asset.claimed_by.email if asset.claimed_by else None,
        "claimed_at": format_timestamp(asset.claimed_at),
        "pool": asset.pool.name if asset.pool else None,
    }


def credit_row(asset: CashbackAsset) -> dict[str, Any]:
    """Return all that is kept of a credit, keyed by CREDIT_COLUMNS."""
    return {
        **ownership_row(asset),
        "expires_at": format_timestamp(asset.expires_at),
        "generation": asset.generation,
        "recreated_from": asset.recreated_from_id,
        "issued_at": format_timestamp(asset.created_at),
        "issued_by": asset.created_by.email if asset.created_by else None,
    }


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return one line of the ledger, keyed by ENTRY_COLUMNS."""
    return {
        "entry": entry.pk,
        "claimed_at": format_timestamp(entry.claimed_at),
        "user": entry.user.email,
        "amount": format_amount(entry.amount, entry.currency),
        "currency": entry.currency,
        "asset": entry.asset_id,
        "title": entry.asset.title,
        "pool": entry.asset.pool.name if entry.asset.pool else None,
        "actor": entry.actor.email,
        "request_key": entry.request_key,
    }


def claims_matching(email: str = "", currency: str = "", pool_id: UUID | None = None) -> EntryQuerySet:
    """Return the claims of whoever has `email` in their address, in a currency, from a pool; empty narrows nothing."""
    wanted = Q(user__email__icontains=email) if email else Q()
    if currency:
        wanted &= Q(currency=currency)
    if pool_id:
        wanted &= Q(asset__pool=pool_id)
    return Entry.objects.filter(wanted).order_by()


def owners_by_value(claims: EntryQuerySet) -> Any:
    """Return per user and currency how many credits they own, of what value, and when the last one became theirs."""
    by_owner: Any = claims.values("currency", owner=F("user__email"))
    totals = by_owner.annotate(credits=Count("pk"), value=Sum("amount"), last_claim=Max("claimed_at"))
    return totals.order_by("-value", "owner", "currency")


def owners_totals(claims: EntryQuerySet) -> list[dict[str, Any]]:
    """Return per currency how many `people` own how many `credits` of what `value`."""
    by_currency: Any = claims.values("currency").order_by("currency")
    totals = by_currency.annotate(people=Count("user", distinct=True), credits=Count("pk"), value=Sum("amount"))
    return [{**line, "value": format_amount(line["value"], line["currency"])} for line in totals]


def owner_row(line: dict[str, Any]) -> dict[str, Any]:
    """Return one line of `owners`, keyed by OWNER_COLUMNS, in JSON types."""
    return {**line, "value": format_amount(line["value"], line["currency"]), "last_claim": format_timestamp(line["last_claim"])}


def ownership_lines(assets: AssetQuerySet) -> Iterator[list[str | None]]:
    """Yield the cells of the report's lines, in the order of OWNERSHIP_COLUMNS, as ownership_row says them.

    PostgreSQL writes the cells and sends them as they are read (COPY): a model's row, or a cursor that outlives its
    transaction and so is filled before its first row is read, would cost several times as much.
    """
    text = assets.annotate(
        asset_text=Cast("pk", TextField()),
        value_text=Cast(Round("total_value", DECIMALS_OF_ROW), TextField()),
        claimed_text=InstantText("claimed_at"),
    )
    cells = (
        "asset_text",
        "title",
        "value_text",
        "currency",
        "current_status",
        "claimed_by__email",
        "claimed_text",
        "pool__name",
    )
    sql, values = text.values_list(*cells).query.sql_with_params()
    with transaction.atomic(), connection.cursor() as cursor, connection.wrap_database_errors:
        copy = connection.ops.compose_sql(f"COPY ({sql}) TO STDOUT", values)  # type: ignore[attr-defined]
        with cursor.copy(copy) as rows:
            yield from rows.rows()


def ownership_csv(assets: AssetQuerySet) -> Iterator[bytes]:
    """Yield the report as CSV, `LINES_AT_ONCE` in one piece: as_csv of ownership_lines, which PostgreSQL writes itself.

    Python, which runs one thread of a process at a time, has a tenth of the work.
    """
    text = assets.annotate(
        asset_text=Cast("pk", TextField()),
        title_text=InertText("title"),
        value_text=Cast(Round("total_value", DECIMALS_OF_ROW), TextField()),
        owner_text=InertText("claimed_by__email"),
        claimed_text=InstantText("claimed_at"),
        pool_text=InertText("pool__name"),
    )
    cells = (
        "asset_text",
        "title_text",
        "value_text",
        "currency",
        "current_status",
        "owner_text",
        "claimed_text",
        "pool_text",
    )
    sql, values = text.values_list(*cells).query.sql_with_params()
    yield f"{','.join(OWNERSHIP_COLUMNS)}\n".encode()
    with transaction.atomic(), connection.cursor() as cursor, connection.wrap_database_errors:
        copy = connection.ops.compose_sql(f"COPY ({sql}) TO STDOUT (FORMAT csv)", values)  # type: ignore[attr-defined]
        with cursor.copy(copy) as rows:
            while piece := b"".join(islice(rows, LINES_AT_ONCE)):
                yield piece


def as_csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield CSV, its header first and then `LINES_AT_ONCE` in one piece; no cell of it is a formula."""
    block = StringIO()
    writer = csv.writer(block)
    writer.writerow(columns)
    for number, line in enumerate(lines, start=1):
        writer.writerow(map(escape_formula, line))
        if number % LINES_AT_ONCE == 0:
            yield block.getvalue()
            block.seek(0)
            block.truncate()
    yield block.getvalue()


def ownership_totals(assets: AssetQuerySet) -> list[dict[str, Any]]:
    """Return per currency and current status of the given assets their `count` and `value`."""
    names: Any = ("currency", "current_status")
    groups: Any = assets.order_by(*names).values(*names)
    return [
        {**group, "value": format_amount(group["value"], group["currency"])}
        for group in groups.annotate(count=Count("pk"), value=Sum("total_value"))
    ]


def supply_totals(wanted: Q) -> list[dict[str, Any]]:
    """Return what `ownership_totals` says of the credits of pools and currencies, without counting them (see `supply`)."""
    lines = supply_by(wanted, "currency")
    return [
        {
            "currency": code,
            "current_status": status,
            "count": states[status.lower()][0],
            "value": format_amount(states[status.lower()][1], code),
        }
        for (code,), states in sorted(lines.items())
        for status in sorted(AssetStatus.values)
        if status.lower() in states
    ]


def escape_formula(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection): a quote before what begins one.

    Some read the wide forms of East Asian keyboards as the plain ones.
    """
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def summary_report(pool_id: UUID | None = None, currency: str | None = None) -> list[dict[str, Any]]:
    """Return per currency and pool how many credits, and of what value, were issued and what became of them.

    Each line: `currency`, `pool` (id and name, or None), and `{count, value}` for `issued`, `available`, `claimed`,
    `expired`, `deleted`, `remaining` (may still be claimed) and `liability` (claimed and still owed). `issued` is the
    number of rows ever inserted, which the four others add up to.
    """
    wanted = Q(pool=pool_id) if pool_id else Q()
    if currency:
        wanted &= Q(currency=currency)
    lines = supply_by(wanted, "currency", "pool")
    pools = CreditPool.objects.in_bulk([pool for _, pool in lines if pool])
    ordered = sorted(lines.items(), key=lambda line: (line[0][0], str(line[0][1] or "")))
    return [
        {"currency": code, "pool": pool_reference(pools.get(pool)), **line_totals(states, code)}
        for (code, pool), states in ordered
    ]


def supply_by(wanted: Q, *names: str) -> dict[tuple[Any, ...], States]:
    """Return the credits of pools and currencies, deleted ones too, by the columns `names`: (count, value) of each state now.

    Sums the supply counters (models.SupplyDelta), and counts only the few credits that are due and not marked by a sweep yet.
    One statement, so that both figures are of one snapshot.
    """
    told: Any = SupplyDelta.objects.filter(wanted).order_by().values(*names, state=Lower("status"))
    due: Any = CashbackAsset.objects.due().filter(wanted).order_by().values(*names, state=Value("due", TextField()))
    found = told.annotate(n=Sum("count"), v=Sum("value")).union(due.annotate(n=Count("pk"), v=Sum("total_value")), all=True)
    lines: dict[tuple[Any, ...], dict[str, tuple[int, Any]]] = defaultdict(lambda: defaultdict(lambda: (0, Decimal(0))))
    for row in found:
        states, number, value = lines[tuple(row[name] for name in names)], row["n"], row["v"]
        moved = [("available", -1), ("expired", 1)] if row["state"] == "due" else [(row["state"], 1)]
        for state, sign in moved:
            states[state] = (states[state][0] + sign * number, states[state][1] + sign * value)
    kept = {key: {name: state for name, state in states.items() if any(state)} for key, states in lines.items()}
    return {key: states for key, states in kept.items() if states}


def pool_reference(pool: CreditPool | None) -> dict[str, str] | None:
    """Return how a report refers to a pool."""
    return {"id": str(pool.pk), "name": pool.name} if pool else None


def line_totals(states: States, currency: str) -> dict[str, dict[str, Any]]:
    """Return one line's figures; what is absent is zero."""
    counts = {name: states.get(name, (0, 0)) for name in (*(status.lower() for status in AssetStatus.values), "deleted")}
    issued = tuple(map(sum, zip(*counts.values(), strict=True)))
    figures = {"issued": issued, **counts, "remaining": counts["available"], "liability": counts["claimed"]}
    return {
        name: {"count": count, "value": format_amount(Decimal(value), currency)} for name, (count, value) in figures.items()
    }
