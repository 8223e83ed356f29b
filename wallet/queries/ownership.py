"""Ownership: which user holds which asset, and how much each user holds."""

from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Max, Q, Sum, TextField
from django.db.models.functions import Cast, Round

from accounts.email_addresses import search_text
from kernel.replicas import read_connection
from kernel.timestamps import format_timestamp
from wallet.assets.models import DECIMALS_OF_ROW, CashbackAsset
from wallet.assets.querysets import AssetQuerySet
from wallet.ledger.models import Entry
from wallet.ledger.querysets import EntryQuerySet
from wallet.money import format_amount
from wallet.queries.csv_export import LINES_PER_CHUNK, EscapedText, TimestampText

OWNERSHIP_COLUMNS = ("asset", "title", "value", "currency", "status", "owner", "claimed_at", "pool")
OWNER_COLUMNS = ("owner", "currency", "credits", "value", "last_claim")


def ownership_rows() -> AssetQuerySet:
    """Return the assets with current status, owner and pool, in one query."""
    return CashbackAsset.objects.with_current_status().select_related("claimed_by", "pool")


def ownership_row(asset: CashbackAsset) -> dict[str, Any]:
    """Return the report's row of an asset, keyed by OWNERSHIP_COLUMNS, in JSON types."""
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


def ownership_lines(assets: AssetQuerySet) -> Iterator[list[str | None]]:
    """Yield the cells of each row as ownership_row has them, in the order of OWNERSHIP_COLUMNS.

    PostgreSQL formats the cells and streams them (COPY). Model instances, or a cursor WITH HOLD, which is materialised before
    its first row is read, would cost several times as much.
    """
    text = assets.annotate(
        asset_text=Cast("pk", TextField()),
        value_text=Cast(Round("total_value", DECIMALS_OF_ROW), TextField()),
        claimed_text=TimestampText("claimed_at"),
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
    connection = read_connection()
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor, connection.wrap_database_errors:
        copy = connection.ops.compose_sql(f"COPY ({sql}) TO STDOUT", values)  # type: ignore[attr-defined]
        with cursor.copy(copy) as rows:
            yield from rows.rows()


def ownership_csv(assets: AssetQuerySet) -> Iterator[bytes]:
    """Yield the report as CSV in chunks of LINES_PER_CHUNK lines: the result of csv_chunks, written by PostgreSQL.

    That costs a tenth of the time in Python, where only one thread of a process runs at a time.
    """
    text = assets.annotate(
        asset_text=Cast("pk", TextField()),
        title_text=EscapedText("title"),
        value_text=Cast(Round("total_value", DECIMALS_OF_ROW), TextField()),
        owner_text=EscapedText("claimed_by__email"),
        claimed_text=TimestampText("claimed_at"),
        pool_text=EscapedText("pool__name"),
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
    connection = read_connection()
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor, connection.wrap_database_errors:
        copy = connection.ops.compose_sql(f"COPY ({sql}) TO STDOUT (FORMAT csv)", values)  # type: ignore[attr-defined]
        with cursor.copy(copy) as rows:
            while chunk := b"".join(islice(rows, LINES_PER_CHUNK)):
                yield chunk


def ownership_totals(assets: AssetQuerySet) -> list[dict[str, Any]]:
    """Return `count` and `value` of the assets per currency and current status."""
    names: Any = ("currency", "current_status")
    groups: Any = assets.order_by(*names).values(*names)
    return [
        {**group, "value": format_amount(group["value"], group["currency"])}
        for group in groups.annotate(count=Count("pk"), value=Sum("total_value"))
    ]


def claims_matching(email: str = "", currency: str = "", pool_id: UUID | None = None) -> EntryQuerySet:
    """Return the claims of users whose email contains `email`, in a currency, from a pool; empty: any."""
    wanted = Q(user__email__icontains=search_text(email)) if email else Q()
    if currency:
        wanted &= Q(currency=currency)
    if pool_id:
        wanted &= Q(asset__pool=pool_id)
    return Entry.objects.filter(wanted).order_by()


def owners_by_value(claims: EntryQuerySet) -> Any:
    """Return number and value of credits and the last claim's time per user and currency.

    Grouped by currency, as amounts of different currencies cannot be compared; in each the highest value first.
    """
    by_owner: Any = claims.values("currency", owner=F("user__email"))
    totals = by_owner.annotate(credits=Count("pk"), value=Sum("amount"), last_claim=Max("claimed_at"))
    return totals.order_by("currency", "-value", "owner")


def owners_totals(claims: EntryQuerySet) -> list[dict[str, Any]]:
    """Return per currency the number of owners (`people`), of `credits`, and their `value`."""
    by_currency: Any = claims.values("currency").order_by("currency")
    totals = by_currency.annotate(people=Count("user", distinct=True), credits=Count("pk"), value=Sum("amount"))
    return [{**line, "value": format_amount(line["value"], line["currency"])} for line in totals]


def owner_row(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of owners_by_value, keyed by OWNER_COLUMNS, in JSON types."""
    return {**line, "value": format_amount(line["value"], line["currency"]), "last_claim": format_timestamp(line["last_claim"])}
