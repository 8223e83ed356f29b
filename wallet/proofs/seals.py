"""Does the ledger still say what was sealed? Every range is read again, hashed again and compared (invariant I8)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from django.db import connections

from wallet import sealing
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.proofs.roots import publication_violations

MOST_UNSEALED = 100  # after a restore it may be all of them
# An entry older than ten seconds must be sealed once no transaction can come before it. By the moment at which the reading
# began, for the reading of a large ledger takes longer than that.
LATE = """
    SELECT format('entry %s is older than 10 s and not sealed: is `manage.py qcluster` running?', id) FROM ledger_entry
    WHERE xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
        AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND claimed_at < transaction_timestamp() - interval '10 seconds'
    ORDER BY xid, id LIMIT 1
"""
# What can be seen was written by a transaction that has begun; only the reader's own may be younger than its snapshot.
AHEAD = """
    SELECT format('entry %s says that transaction %s wrote it, which has not begun: it is never sealed (see "Restoring")',
        id, xid)
    FROM ledger_entry WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
        AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
    ORDER BY xid, id
"""


def seal_violations(
    since: int = 1,
    progress: Callable[[int], None] = lambda _: None,
    published: Path | None = None,
    *,
    using: str = "default",
) -> Iterator[str]:
    """Yield a sentence for each thing that is not as it was sealed, naming the row.

    Arguments:
        since: the first seal to look at; the one before it is taken for granted.
        progress: told how many entries each seal held.
        published: a file of seals kept outside the database (seal_ledger --export), to compare with.
        using: the connection to read through. Claims and seals go on meanwhile: give one with a snapshot of its own, or
            what was late at one moment is looked for under the seals of another.
    """
    yield from unsealed_violations(using)
    seals = Seal.objects.using(using)
    last = seals.defer("leaves").filter(seq=since - 1).first()
    for seal in seals.filter(seq__gte=since).order_by("seq").iterator(chunk_size=1):
        yield from chain_violations(seal, last)
        yield from content_violations(seal)
        progress(seal.count)
        last = seal
    if published:
        yield from publication_violations(published, using)


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
    entries = Entry.objects.using(seal._state.db).filter(xid__gte=seal.from_xid, xid__lt=seal.to_xid)
    rows = list(entries.order_by("xid", "id").values_list(*signing.LEAF_COLUMNS))
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


def unsealed_violations(using: str) -> Iterator[str]:
    """Yield the first closed entry that should have been sealed by now, and those that no seal will ever reach."""
    with connections[using].cursor() as cursor:
        for sql in (LATE, AHEAD):
            cursor.execute(sql)
            yield from (sentence for (sentence,) in cursor.fetchmany(MOST_UNSEALED))
