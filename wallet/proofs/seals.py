"""Does the ledger still say what was sealed? Every range is read again, hashed again and compared (invariant I8)."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from wallet import sealing
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal

LATEST = timedelta(seconds=10)  # an entry older than this must be sealed


def seal_violations(
    since: int = 1, progress: Callable[[int], None] = lambda _: None, published: Path | None = None
) -> Iterator[str]:
    """Yield a sentence for each thing that is not as it was sealed, naming the row.

    Arguments:
        since: the first seal to look at; the one before it is taken for granted.
        progress: told how many entries each seal held.
        published: a file of seals kept outside the database (seal_ledger --export), to compare with.
    """
    last = Seal.objects.filter(seq=since - 1).first()
    for seal in Seal.objects.filter(seq__gte=since).order_by("seq").iterator(chunk_size=1):
        yield from chain_violations(seal, last)
        yield from content_violations(seal)
        progress(seal.count)
        last = seal
    yield from unsealed_violations(last)
    if published:
        yield from publication_violations(published)


def chain_violations(seal: Seal, last: Seal | None) -> Iterator[str]:
    """Yield what is wrong between a seal and the one before it, and with its signature."""
    expected = (last.seq + 1, bytes(last.root), last.to_xid) if last else (1, merkle.EMPTY, 0)
    if (seal.seq, bytes(seal.previous_root), seal.from_xid) != expected:
        yield f"seal {seal.seq} does not follow the seal before it"
    if not signing.is_signed(seal):
        yield f"seal {seal.seq} does not bear a valid signature of a trusted key"


def content_violations(seal: Seal) -> Iterator[str]:
    """Yield what is wrong inside a seal, and which entries of its range are not what they were."""
    ids, leaves = sealing.unpacked(seal)
    if len(ids) != seal.count or merkle.root(leaves) != bytes(seal.root):
        yield f"seal {seal.seq} keeps other leaves than it was made over"
    entries = Entry.objects.filter(xid__gte=seal.from_xid, xid__lt=seal.to_xid).order_by("xid", "id")
    rows = list(entries.values_list(*signing.LEAF_COLUMNS))
    now = {row[0].bytes: merkle.leaf_hash(signing.leaf_data(row)) for row in rows}
    then = dict(zip(ids, leaves, strict=True))
    if now != then:
        yield from differences(seal, then, now)
    elif sealing.sums(rows) != seal.sums:
        yield f"seal {seal.seq} states other sums than its entries have"


def differences(seal: Seal, then: dict[bytes, bytes], now: dict[bytes, bytes]) -> Iterator[str]:
    """Yield the entries that were deleted, inserted or changed since they were sealed."""
    for entry in then.keys() - now.keys():
        yield f"entry {UUID(bytes=entry)} was deleted after seal {seal.seq} was made"
    for entry in now.keys() - then.keys():
        yield f"entry {UUID(bytes=entry)} was inserted after seal {seal.seq} was made"
    for entry in then.keys() & now.keys():
        if then[entry] != now[entry]:
            yield f"entry {UUID(bytes=entry)} was changed after seal {seal.seq} was made"


def unsealed_violations(last: Seal | None) -> Iterator[str]:
    """Yield the first closed entry that should have been sealed by now."""
    closed = Entry.objects.filter(xid__gte=last.to_xid if last else 0, xid__lt=sealing.horizon())
    entry = closed.filter(claimed_at__lt=Now() - LATEST).order_by("xid", "id").first()
    if entry:
        yield f"entry {entry.pk} is older than {LATEST.seconds} s and not sealed: is `manage.py qcluster` running?"


def publication_violations(published: Path) -> Iterator[str]:
    """Yield where the database's seals differ from those that were published."""
    for line in published_lines(published):
        seal = Seal.objects.defer("leaves").filter(seq=line["seq"]).first()
        if seal is None:
            yield f"seal {line['seq']} was published and is gone"
        elif signing.published(seal) != line:
            yield f"seal {line['seq']} differs from its published copy"


def published_lines(published: Path) -> Iterable[dict[str, Any]]:
    """Yield the seals of a file of JSON lines."""
    with published.open() as lines:
        yield from map(json.loads, lines)
