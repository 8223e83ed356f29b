"""Seal what is closed: a signed Merkle root over entries that no open transaction can add to any more."""

import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.refusals import Refusal
from wallet.assets.money import written
from wallet.contention import Busy, act, broken_rule, sqlstate
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.querysets import EntryQuerySet

MOST_LEAVES = 10_000  # a seal: its transaction must end within the idle timeout, on a slow and busy machine too
# What the slower of two sealers at once is told: the next seal is there already, or another transaction is about to write it.
TAKEN, LOCKED = {"seal_follows", "seal_no_fork", "ledger_seal_pkey"}, "55P03"


class NotSealedYet(Refusal):
    """The entry is younger than the last seal."""

    code = "not_sealed_yet"
    detail = "This claim is not sealed yet. Its proof will be there within a few seconds: ask again."
    retry_after: ClassVar[int | None] = 5


class NoValidSeal(NotSealedYet):
    """The seal that covers the entry is malformed, or does not hold it: its proof never comes."""

    detail = "The seal that covers this claim is not valid, so there is no proof. The claim itself is not affected."
    retry_after = None


def seal_all(progress: Callable[[int], None] = lambda _: None) -> list[Seal]:
    """Seal every closed entry and return the new seals, oldest first; another sealer at work leaves nothing to do.

    No lock keeps sealers apart, for whoever connects could hold it for ever: of two equal seals the table takes one.
    """
    seals = []
    try:
        while seal := seal_next():
            seals.append(seal)
            progress(seal.count)
    except (IntegrityError, Busy) as error:
        if not is_anothers(error):
            raise
    return seals


def is_anothers(error: Exception) -> bool:
    """Tell whether a seal was not saved because another sealer makes the same."""
    locked = error.__cause__ is not None and sqlstate(error.__cause__) == LOCKED
    return broken_rule(error) in TAKEN or (isinstance(error, Busy) and locked)


@act(repeatable=True)
def seal_next() -> Seal | None:
    """Seal the next entries whose transactions ended, up to 10,000; None when there are none.

    The horizon is the oldest transaction still running: below it nothing can be added, in whatever order transactions
    commit. Ids or times would skip what commits late.
    """
    last = Seal.objects.only("seq", "root", "to_xid").order_by("-seq").first()
    start = last.to_xid if last else 0
    rows, end = closed_rows(start, horizon())
    if not rows:
        return None
    seal = sealed(rows, last, start, end)
    seal.save(force_insert=True)
    return seal


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

    Raises NotSealedYet, and NoValidSeal when it never will be.
    """
    covering = Seal.objects.covering(entry.xid)
    seal = covering.well_formed().first()
    if seal is None:
        raise NoValidSeal if covering.exists() else NotSealedYet
    ids, leaves = unpacked(seal)
    if entry.pk.bytes not in ids:
        raise NoValidSeal
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
    """Return the `last` well-formed seal (or None) and how many entries came after it and are `unsealed`."""
    last = Seal.objects.well_formed().defer("leaves").first()
    return {"last": last, "unsealed": Entry.objects.filter(xid__gte=last.to_xid if last else 0).count()}
