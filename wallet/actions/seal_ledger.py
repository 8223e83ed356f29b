"""Seal closed ranges of the ledger: a signed Merkle root over entries to which no open transaction can add."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection

from kernel.statements import database_time
from kernel.transactions import Busy, atomic_with_retry, sqlstate, violated_constraint
from wallet.ledger import leaves, merkle, signing
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
    last = Seal.objects.only("seq", "root", "to_xid", "version", "position").order_by("-seq").first()
    start, horizon = last.to_xid if last else 0, closed_horizon()
    seal = (
        seal_of_version_2(last, start, horizon) if is_version_2(last, start, horizon) else seal_of_claims(last, start, horizon)
    )
    if seal is not None:
        seal.save(force_insert=True)
    return seal


def is_version_2(last: Seal | None, start: int, horizon: int) -> bool:
    """Return whether the next seal is of version 2: once there is one, all later ones are, because positions continue.

    Until there are payments, seals stay as verifiers of earlier releases know them.
    """
    return (last is not None and last.version == 2) or leaves.needs_version_2(start, horizon)


def seal_of_claims(last: Seal | None, start: int, horizon: int) -> Seal | None:
    """Return the next seal of version 1, unsaved; None if there is nothing to seal."""
    rows, end = closed_rows(start, horizon)
    return build_seal(rows, last, start, end) if rows else None


def seal_of_version_2(last: Seal | None, start: int, horizon: int) -> Seal | None:
    """Return the next seal of version 2, unsaved, over claims and movements; None if there is nothing to seal."""
    rows, end = closed_leaves(start, horizon)
    if not rows:
        return None
    seal = unsigned_seal([(row[0], row[5].encode()) for row in rows], last, start, end)
    sums = leaves.sums_by_kind(rows)
    before = read_position(last) if last and last.version == 2 else leaves.position_after({}, leaves.sums_before(start))
    claims = {currency: kinds["CLAIM"] for currency, kinds in sums.items() if "CLAIM" in kinds}
    seal.version, seal.sums, seal.kinds = 2, format_sums(claims), format_parts(sums)
    seal.position = format_parts(leaves.position_after(before, sums))
    signing.sign_seal(seal)
    return seal


def read_position(seal: Seal) -> leaves.Position:
    """Return the balance of each account that a seal states."""
    stated = json.loads(seal.position or "{}")
    return {code: {name: Decimal(amount) for name, amount in accounts.items()} for code, accounts in stated.items()}


def format_parts(parts: Mapping[str, Mapping[str, Decimal]]) -> str:
    """Return sums per currency and kind, or account, as a seal states them: JSON with sorted keys."""
    stated = {
        code: {name: format_amount(amount, code) for name, amount in sorted(sums.items())}
        for code, sums in sorted(parts.items())
    }
    return json.dumps(stated)


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


def closed_leaves(start: int, end: int) -> tuple[list[leaves.Leaf], int]:
    """Return the leaves of version 2 as closed_rows does the entries of version 1."""
    rows = leaves.read_leaves(start, end, MAX_LEAVES + 1)
    if len(rows) <= MAX_LEAVES:
        return rows, end
    cut = rows[-1][1]
    whole = [row for row in rows if row[1] < cut]
    return (whole, cut) if whole else (leaves.read_leaves(cut, cut + 1), cut + 1)


def build_seal(rows: list[tuple[Any, ...]], last: Seal | None, start: int, end: int) -> Seal:
    """Return the unsaved, signed seal of version 1 over `rows`."""
    seal = unsigned_seal([(row[0], signing.leaf_data(row)) for row in rows], last, start, end)
    seal.sums = sums_by_currency(rows)
    signing.sign_seal(seal)
    return seal


def unsigned_seal(texts: list[tuple[UUID, bytes]], last: Seal | None, start: int, end: int) -> Seal:
    """Return the unsaved seal over leaves, each an id and the text that is hashed, without sums and signature."""
    hashes = [merkle.leaf_hash(text) for _, text in texts]
    return Seal(
        seq=last.seq + 1 if last else 1,
        previous_root=last.root if last else merkle.EMPTY_ROOT,
        root=merkle.merkle_root(hashes),
        from_xid=start,
        to_xid=end,
        count=len(texts),
        sealed_at=database_time(),
        leaves=b"".join(identity.bytes + leaf for (identity, _), leaf in zip(texts, hashes, strict=True)),
    )


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
