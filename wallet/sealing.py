"""Seal what is closed: a signed Merkle root over entries that no open transaction can add to any more."""

import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.refusals import Refusal
from wallet.assets.money import written
from wallet.contention import act
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.querysets import EntryQuerySet

MOST_LEAVES = 10_000  # a seal: its transaction must end within the idle timeout, on a slow and busy machine too
SEALER = 0x5EA1  # advisory lock: one sealer at a time


class NotSealedYet(Refusal):
    """The entry is younger than the last seal."""

    code = "not_sealed_yet"
    detail = "This claim is not sealed yet. Its proof will be there within a few seconds: ask again."
    retry_after = 5


def seal_all(progress: Callable[[int], None] = lambda _: None) -> list[Seal]:
    """Seal every closed entry and return the new seals, oldest first; another sealer at work leaves nothing to do."""
    seals = []
    while seal := seal_next():
        seals.append(seal)
        progress(seal.count)
    return seals


@act(repeatable=True)
def seal_next() -> Seal | None:
    """Seal the next entries whose transactions ended, up to 10,000; None when there are none or another sealer is at it.

    The horizon is the oldest transaction still running: below it nothing can be added, in whatever order transactions
    commit. Ids or times would skip what commits late.
    """
    if not sole_sealer():
        return None
    last = Seal.objects.defer("leaves").order_by("-seq").first()
    start = last.to_xid if last else 0
    rows, end = closed_rows(start, horizon())
    if not rows:
        return None
    seal = sealed(rows, last, start, end)
    seal.save(force_insert=True)
    return seal


def sole_sealer() -> bool:
    """Take the sealers' lock for this transaction, if it is free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER])
        return bool(cursor.fetchone()[0])


def horizon() -> int:
    """Return the first transaction id that may still be running."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        return int(cursor.fetchone()[0])


def closed_entries() -> EntryQuerySet:
    """Return the entries that are closed and under no seal."""
    last = Seal.objects.order_by("-seq").values_list("to_xid", flat=True).first()
    return Entry.objects.filter(xid__gte=last or 0, xid__lt=horizon())


def closed_rows(start: int, end: int) -> tuple[list[tuple[Any, ...]], int]:
    """Return the entries with `start` <= xid < `end` in sealing order, and where the range really ends.

    A range longer than MOST_LEAVES ends after its last complete transaction.
    """
    entries = Entry.objects.filter(xid__gte=start, xid__lt=end).order_by("xid", "id")
    rows = list(entries.values_list(*signing.LEAF_COLUMNS)[: MOST_LEAVES + 1])
    if len(rows) <= MOST_LEAVES:
        return rows, end
    cut = rows[-1][-1]
    whole = [row for row in rows if row[-1] < cut]
    # One transaction alone may hold more than a seal is meant to: it is sealed whole.
    return (whole, cut) if whole else (list(entries.filter(xid=cut).values_list(*signing.LEAF_COLUMNS)), cut + 1)


def sealed(rows: list[tuple[Any, ...]], last: Seal | None, start: int, end: int) -> Seal:
    """Return the signed seal over `rows`, not saved."""
    leaves = [merkle.leaf_hash(signing.leaf_data(row)) for row in rows]
    seal = Seal(
        seq=last.seq + 1 if last else 1,
        previous_root=last.root if last else merkle.EMPTY,
        root=merkle.root(leaves),
        from_xid=start,
        to_xid=end,
        count=len(rows),
        sums=sums(rows),
        sealed_at=timezone.now(),
        leaves=b"".join(row[0].bytes + leaf for row, leaf in zip(rows, leaves, strict=True)),
    )
    signing.sign(seal)
    return seal


def sums(rows: list[tuple[Any, ...]]) -> str:
    """Return the exact sum of the amounts per currency, as JSON with sorted keys."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row[5]] += row[4]
    return stated(totals)


def stated(totals: dict[str, Decimal]) -> str:
    """Return the sums per currency as a seal states them: JSON with sorted keys."""
    return json.dumps({currency: written(total, currency) for currency, total in sorted(totals.items())})


def proof(entry: Entry) -> dict[str, Any]:
    """Return what proves that an entry is under a seal: leaf, its place, the path to the root, and the seal.

    Raises NotSealedYet.
    """
    seal = Seal.objects.filter(from_xid__lte=entry.xid, to_xid__gt=entry.xid).first()
    if seal is None:
        raise NotSealedYet
    ids, leaves = unpacked(seal)
    index = ids.index(entry.pk.bytes)
    row = tuple(getattr(entry, column) for column in signing.LEAF_COLUMNS)
    return {
        "leaf": signing.leaf_data(row).decode(),
        "index": index,
        "path": [sibling.hex() for sibling in merkle.path(leaves, index)],
        "seal": signing.published(seal),
    }


def unpacked(seal: Seal) -> tuple[list[bytes], list[bytes]]:
    """Return the ids and the leaf hashes that a seal keeps, in its order."""
    packed = bytes(seal.leaves)
    starts = range(0, len(packed), 48)
    return [packed[start : start + 16] for start in starts], [packed[start + 16 : start + 48] for start in starts]


def how_far() -> dict[str, Any]:
    """Return the `last` seal (or None) and how many entries came after it and are `unsealed`."""
    last = Seal.objects.defer("leaves").first()
    return {"last": last, "unsealed": Entry.objects.filter(xid__gte=last.to_xid if last else 0).count()}
