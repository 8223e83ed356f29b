"""Does the ledger still say what was sealed? Every range is read again, hashed again and compared (invariant I8)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from uuid import UUID

from django.db import connections
from django.db.models import Sum

from wallet.actions import seal_ledger
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.queries.inclusion_proof import unpack_leaves
from wallet.verification.published_seals import publication_violations

# Entries in the letters of signing.leaf_data, written where they lie: a ledger has millions, and making Python's objects of
# ten columns takes five times as long. Whatever does not come to the sealed hash this way is read and written out by Python.
LEAVES = """
    SELECT uuid_send(id), format('["%%s","%%s","%%s","%%s","%%s","%%s","%%s",%%s,"%%s",%%s]',
        id, kind, asset_id, user_id, amount, currency, to_char(claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        coalesce(to_json(request_key)::text, 'null'), actor_id, xid)
    FROM ledger_entry WHERE xid >= %s AND xid < %s
"""
MOST_UNSEALED = 100  # after a restore it may be all of them
# An entry older than ten seconds must be sealed once no transaction can come before it. By the moment at which the reading
# began, for the reading of a large ledger takes longer than that.
LATE = """
    SELECT format('entry %s is older than 10 s and not sealed: is `manage.py qcluster` running?', id) FROM ledger_entry
    WHERE xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
        AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND claimed_at < transaction_timestamp() - interval '10 seconds'
    ORDER BY xid, id LIMIT 1
"""
# No transaction of ours takes a minute. Whoever can connect to any database of the server can leave one open, and hold up all
# sealing; whose it is, only a superuser may see.
HELD_UP = """
    SELECT format('entry %s is older than 60 s and cannot be sealed: an older transaction is open on this server', id)
    FROM ledger_entry
    WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) AND xid < pg_snapshot_xmax(pg_current_snapshot())
        AND claimed_at < transaction_timestamp() - interval '60 seconds'
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
    yield from (f"seal {seq} is malformed: it breaks {rule}" for seq, rule in seals.filter(seq__gte=since).malformed())
    last = None
    for seal in seals.well_formed().filter(seq__gte=since).order_by("seq").iterator(chunk_size=1):
        yield from chain_violations(seal, last if last and last.seq == seal.seq - 1 else seal_before(seal))
        yield from content_violations(seal)
        progress(seal.count)
        last = seal
    if published:
        yield from publication_violations(published, using)


def seal_before(seal: Seal) -> Seal | None:
    """Return the seal before another, of whatever shape, or None."""
    chained = Seal.objects.using(seal._state.db).only("seq", "root", "to_xid")
    return chained.filter(seq=seal.seq - 1).first()


def chain_violations(seal: Seal, last: Seal | None) -> Iterator[str]:
    """Yield what is wrong between a seal and the one before it, and with its signature."""
    expected = (last.seq + 1, bytes(last.root), last.to_xid) if last else (1, merkle.EMPTY, 0)
    if (seal.seq, bytes(seal.previous_root), seal.from_xid) != expected:
        yield f"seal {seal.seq} does not follow the seal before it"
    if not signing.is_signature_valid(seal):
        yield f"seal {seal.seq} does not bear a valid signature of a trusted key"


def content_violations(seal: Seal) -> Iterator[str]:
    """Yield what is wrong inside a seal, and which entries of its range are not what they were."""
    ids, leaves = unpack_leaves(seal)
    if len(ids) != seal.count or merkle.merkle_root(leaves) != bytes(seal.root):
        yield f"seal {seal.seq} keeps other leaves than it was made over"
    then = dict(zip(ids, leaves, strict=True))
    now = dict(leaves_now(seal))
    if other := [UUID(bytes=entry) for entry in then.keys() & now.keys() if then[entry] != now[entry]]:
        now |= exact_leaves(other, seal)
    if now != then:
        yield from changed_entries(seal, then, now)
    elif sums_now(seal) != seal.sums:
        yield f"seal {seal.seq} states other sums than its entries have"


def leaves_now(seal: Seal) -> Iterator[tuple[bytes, bytes]]:
    """Yield id and leaf hash of each entry in a seal's range, in the letters that PostgreSQL writes it in."""
    with connections[str(seal._state.db)].cursor() as cursor:
        cursor.execute(LEAVES, [str(seal.from_xid), str(seal.to_xid)])
        for entry, data in cursor:
            yield entry, merkle.leaf_hash(data.encode())


def exact_leaves(entries: Iterable[UUID], seal: Seal) -> dict[bytes, bytes]:
    """Return id and leaf hash of the entries, in the very letters that were sealed."""
    rows = Entry.objects.using(seal._state.db).filter(pk__in=entries).values_list(*signing.LEAF_COLUMNS)
    return {row[0].bytes: merkle.leaf_hash(signing.leaf_data(row)) for row in rows}


def sums_now(seal: Seal) -> str:
    """Return what the entries in a seal's range come to, as a seal states it."""
    entries = Entry.objects.using(seal._state.db).filter(xid__gte=seal.from_xid, xid__lt=seal.to_xid).order_by("currency")
    return seal_ledger.format_sums(dict(entries.values_list("currency").annotate(Sum("amount"))))


def changed_entries(seal: Seal, then: dict[bytes, bytes], now: dict[bytes, bytes]) -> Iterator[str]:
    """Yield the entries that were deleted, inserted or changed since they were sealed."""
    for entry in then.keys() - now.keys():
        yield f"entry {UUID(bytes=entry)} was deleted after seal {seal.seq} was made"
    for entry in now.keys() - then.keys():
        yield f"entry {UUID(bytes=entry)} was inserted after seal {seal.seq} was made"
    for entry in then.keys() & now.keys():
        if then[entry] != now[entry]:
            yield f"entry {UUID(bytes=entry)} was changed after seal {seal.seq} was made"


def is_late(using: str = "default") -> bool:
    """Tell whether a closed entry should have been sealed by now."""
    with connections[using].cursor() as cursor:
        cursor.execute(LATE)
        return cursor.fetchone() is not None


def unsealed_violations(using: str) -> Iterator[str]:
    """Yield the first entry that should have been closed or sealed by now, and those that no seal will ever reach."""
    with connections[using].cursor() as cursor:
        for sql in (LATE, HELD_UP, AHEAD):
            cursor.execute(sql)
            yield from (sentence for (sentence,) in cursor.fetchmany(MOST_UNSEALED))
