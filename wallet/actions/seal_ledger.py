"""Seal closed ranges of the ledger: a signed Merkle root over entries to which no open transaction can add."""

import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection
from django.utils import timezone

from kernel.transactions import Busy, atomic_with_retry, sqlstate, violated_constraint
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.querysets import EntryQuerySet
from wallet.money import format_amount

MAX_LEAVES = 10_000  # per seal: its transaction must finish within the idle timeout even on a slow machine
# Errors of the slower of two concurrent sealers: the next seal exists, or another transaction is about to insert it.
SEAL_CONSTRAINTS, LOCK_NOT_AVAILABLE = {"seal_follows", "seal_no_fork", "ledger_seal_pkey"}, "55P03"


def seal_all(progress: Callable[[int], None] = lambda _: None) -> list[Seal]:
    """Seal every closed entry and return the new seals, oldest first; stop if another sealer is at work.

    Sealers take no advisory lock, because any session could hold it for ever: constraints accept one of two equal seals.
    """
    seals = []
    try:
        while seal := seal_next():
            seals.append(seal)
            progress(seal.count)
    except (IntegrityError, Busy) as error:
        if not is_sealed_by_other(error):
            raise
    return seals


def is_sealed_by_other(error: Exception) -> bool:
    """Return whether the error means that another sealer inserts the same seal."""
    locked = error.__cause__ is not None and sqlstate(error.__cause__) == LOCK_NOT_AVAILABLE
    return violated_constraint(error) in SEAL_CONSTRAINTS or (isinstance(error, Busy) and locked)


@atomic_with_retry(idempotent=True)
def seal_next() -> Seal | None:
    """Seal the next closed entries, up to MAX_LEAVES, and return the seal; None if there are none.

    Closed entries are below the oldest running transaction: nothing can be added there, in whatever order transactions commit.
    A range of ids or times would miss entries that commit late.
    """
    last = Seal.objects.only("seq", "root", "to_xid").order_by("-seq").first()
    start = last.to_xid if last else 0
    rows, end = closed_rows(start, closed_horizon())
    if not rows:
        return None
    seal = build_seal(rows, last, start, end)
    seal.save(force_insert=True)
    return seal


def closed_horizon() -> int:
    """Return the lowest id of a transaction that may still be running."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        return int(cursor.fetchone()[0])


def closed_entries() -> EntryQuerySet:
    """Return the closed entries that are not sealed."""
    last = Seal.objects.order_by("-seq").values_list("to_xid", flat=True).first()
    return Entry.objects.filter(xid__gte=last or 0, xid__lt=closed_horizon())


def closed_rows(start: int, end: int) -> tuple[list[tuple[Any, ...]], int]:
    """Return the entries with `start` <= xid < `end` in sealing order, and the actual end of the range.

    A range longer than MAX_LEAVES ends after its last complete transaction.
    """
    entries = Entry.objects.filter(xid__gte=start, xid__lt=end).order_by("xid", "id")
    rows = list(entries.values_list(*signing.LEAF_COLUMNS)[: MAX_LEAVES + 1])
    if len(rows) <= MAX_LEAVES:
        return rows, end
    cut = rows[-1][-1]
    whole = [row for row in rows if row[-1] < cut]
    # A single transaction may exceed MAX_LEAVES; its entries are never split.
    return (whole, cut) if whole else (list(entries.filter(xid=cut).values_list(*signing.LEAF_COLUMNS)), cut + 1)


def build_seal(rows: list[tuple[Any, ...]], last: Seal | None, start: int, end: int) -> Seal:
    """Return the unsaved, signed seal over `rows`."""
    leaves = [merkle.leaf_hash(signing.leaf_data(row)) for row in rows]
    seal = Seal(
        seq=last.seq + 1 if last else 1,
        previous_root=last.root if last else merkle.EMPTY_ROOT,
        root=merkle.merkle_root(leaves),
        from_xid=start,
        to_xid=end,
        count=len(rows),
        sums=sums_by_currency(rows),
        sealed_at=timezone.now(),
        leaves=b"".join(row[0].bytes + leaf for row, leaf in zip(rows, leaves, strict=True)),
    )
    signing.sign_seal(seal)
    return seal


def sums_by_currency(rows: list[tuple[Any, ...]]) -> str:
    """Return the exact sum of the amounts per currency, as JSON with sorted keys."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row[5]] += row[4]
    return format_sums(totals)


def format_sums(totals: dict[str, Decimal]) -> str:
    """Return the sums per currency as a seal states them: JSON with sorted keys."""
    return json.dumps({currency: format_amount(total, currency) for currency, total in sorted(totals.items())})


def sealing_progress() -> dict[str, Any]:
    """Return the `last` well-formed seal (or None) and the number of `unsealed` entries after it."""
    last = Seal.objects.well_formed().defer("leaves").first()
    return {"last": last, "unsealed": Entry.objects.filter(xid__gte=last.to_xid if last else 0).count()}
