"""What a former release did, by the SQL of its time: the code of today needs columns that its tables lacked."""

from io import StringIO
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.core.management import call_command
from django.db import connection, transaction

from kernel.uuid7 import uuid7
from wallet.actions import seal_ledger

SEALED = (
    *("seq", "previous_root", "root", "from_xid", "to_xid", "count", "sums", "sealed_at"),
    *("public_key", "signature", "leaves"),
)


def migrate_to_this_one() -> None:
    """Apply all migrations and grant the privileges on tables and columns that they made anew."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("grant_app_role", stdout=StringIO())


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def issue(pool_id: UUID | None = None) -> UUID:
    """Issue one credit of 10 INR and return its id."""
    asset_id = uuid7()
    rows(
        "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, created_at)"
        " VALUES (%s, 'Welcome', 10, 'INR', 'AVAILABLE', %s, 1, now())",
        asset_id,
        pool_id,
    )
    return asset_id


def claim(asset_id: UUID, user_id: UUID) -> None:
    """Mark the asset as claimed and append its entry, in one transaction."""
    with transaction.atomic():
        rows("UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = %s", user_id, asset_id)
        rows(
            "INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id)"
            " SELECT %s, 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id"
            " FROM assets_cashbackasset WHERE id = %s",
            uuid7(),
            asset_id,
        )


def seal() -> int:
    """Seal the closed entries and return how many; seals of version 1 are made as ever."""
    found = rows("SELECT seq, root, to_xid::text::bigint FROM ledger_seal ORDER BY seq DESC LIMIT 1")
    last: Any = SimpleNamespace(seq=found[0][0], root=found[0][1], to_xid=found[0][2]) if found else None
    start = last.to_xid if last else 0
    entries, end = seal_ledger.closed_rows(start, seal_ledger.closed_horizon())
    made = seal_ledger.build_seal(entries, last, start, end)
    values = [str(getattr(made, name)) if name.endswith("xid") else getattr(made, name) for name in SEALED]
    rows(f"INSERT INTO ledger_seal ({', '.join(SEALED)}) VALUES ({', '.join(['%s'] * len(SEALED))})", *values)
    return made.count
