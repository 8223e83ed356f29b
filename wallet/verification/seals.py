"""Invariant I8: sealed entries are unchanged. Every range is read and hashed again, and compared with its seal."""

from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from uuid import UUID

from django.db import connections
from django.db.models import Sum

from wallet.actions import seal_ledger
from wallet.ledger import leaves as version_2
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.queries.inclusion_proof import unpack_leaves
from wallet.verification.published_seals import publication_violations

# Entries in the format of signing.leaf_data, written by PostgreSQL, because Python objects of ten columns take five times as
# long. Entries whose hash differs are read again and formatted by Python.
LEAVES = """
    SELECT uuid_send(id), format('["%%s","%%s","%%s","%%s","%%s","%%s","%%s",%%s,"%%s",%%s]',
        id, kind, asset_id, user_id, amount, currency, to_char(claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        coalesce(to_json(request_key)::text, 'null'), actor_id, xid)
    FROM ledger_entry WHERE xid >= %s AND xid < %s
"""
MAX_UNSEALED = 100  # violations per statement: after a restore it may be all entries
# An entry older than ten seconds must be sealed if no open transaction precedes it. Measured at the start of the check, which
# takes longer than that on a large ledger.
LATE = """
    SELECT format('entry %s is older than 10 s and not sealed: is `manage.py qcluster` running?', id) FROM ledger_entry
    WHERE xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
        AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND claimed_at < transaction_timestamp() - interval '10 seconds'
    ORDER BY xid, id LIMIT 1
"""
# The same of movements. Only these kinds have the time at which they were written down.
LATE_MOVEMENT = """
    SELECT format('movement %s is older than 10 s and not sealed: is `manage.py qcluster` running?', id) FROM ledger_movement
    WHERE xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
        AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND at < transaction_timestamp() - interval '10 seconds'
        AND kind IN ('HOLD', 'SPEND', 'CAPTURE', 'REFUND', 'CLAWBACK', 'EXTEND')
    ORDER BY xid, id LIMIT 1
"""
# No transaction of the application takes a minute. An open transaction in any database of the server blocks sealing; only a
# superuser can see its owner.
BLOCKED = """
    SELECT format('entry %s is older than 60 s and cannot be sealed: an older transaction is open on this server', id)
    FROM ledger_entry
    WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) AND xid < pg_snapshot_xmax(pg_current_snapshot())
        AND claimed_at < transaction_timestamp() - interval '60 seconds'
    ORDER BY xid, id LIMIT 1
"""
# Visible rows were written by transactions that have begun; only the reader's own may be newer than its snapshot.
AHEAD = """
    SELECT format('entry %s says that transaction %s wrote it, which has not begun: it is never sealed (see "Restoring")',
        id, xid)
    FROM ledger_entry WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
        AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
    ORDER BY xid, id
"""

AHEAD_MOVEMENT = AHEAD.replace("entry %s", "movement %s").replace("FROM ledger_entry", "FROM ledger_movement")


def seal_violations(
    since: int = 1,
    progress: Callable[[int], None] = lambda _: None,
    published: Path | None = None,
    *,
    using: str = "default",
) -> Iterator[str]:
    """Yield a sentence, which names the row, for each difference from the sealed state.

    Arguments:
        since: the first seal to check; the seal before it is trusted.
        progress: called with the number of entries of each seal.
        published: a file of seals kept outside the database (seal_ledger --export), to compare with.
        using: the connection to read through. It should have a snapshot of its own, because claims and seals continue
            during the check.
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
    """Yield the errors of a seal's link to the previous seal and of its signature."""
    expected = (last.seq + 1, bytes(last.root), last.to_xid) if last else (1, merkle.EMPTY_ROOT, 0)
    if (seal.seq, bytes(seal.previous_root), seal.from_xid) != expected:
        yield f"seal {seal.seq} does not follow the seal before it"
    if not signing.is_signature_valid(seal):
        yield f"seal {seal.seq} has no valid signature of a trusted key"


def content_violations(seal: Seal) -> Iterator[str]:
    """Yield the errors inside a seal and the changed entries of its range."""
    ids, leaves = unpack_leaves(seal)
    if len(ids) != seal.count or merkle.merkle_root(leaves) != bytes(seal.root):
        yield f"seal {seal.seq} has leaves that do not match its root"
    sealed = dict(zip(ids, leaves, strict=True))
    if seal.version == 2:
        yield from differences_of_version_2(seal, sealed)
        return
    current = dict(current_leaves(seal))
    if different := [UUID(bytes=entry) for entry in sealed.keys() & current.keys() if sealed[entry] != current[entry]]:
        current |= exact_leaves(different, seal)
    if current != sealed:
        yield from changed_entries(seal, sealed, current)
    elif current_sums(seal) != seal.sums:
        yield f"seal {seal.seq} has sums that differ from its entries"


def differences_of_version_2(seal: Seal, sealed: dict[bytes, bytes]) -> Iterator[str]:
    """Yield the claims and movements of a seal's range that were changed, and its sums if they differ."""
    rows = version_2.read_leaves(seal.from_xid, seal.to_xid, using=str(seal._state.db))
    current = {row[0].bytes: merkle.leaf_hash(row[5].encode()) for row in rows}
    sums = version_2.sums_by_kind(rows)
    claims = {currency: kinds["CLAIM"] for currency, kinds in sums.items() if "CLAIM" in kinds}
    if current != sealed:
        moved = {row[0].bytes for row in rows if row[2] != "CLAIM"}
        yield from changed_entries(seal, sealed, current, moved)
    elif (seal_ledger.format_sums(claims), seal_ledger.format_parts(sums)) != (seal.sums, seal.kinds):
        yield f"seal {seal.seq} has sums that differ from its entries"


def position_violations(using: str = "default") -> Iterator[str]:
    """I21: yield the last sealed position if it differs from a recount of all that is sealed."""
    seal = Seal.objects.using(using).well_formed().defer("leaves").first()
    if seal is None or seal.version == 1:
        return
    recount = seal_ledger.format_parts(version_2.position_after({}, version_2.sums_before(seal.to_xid, using)))
    if recount != seal.position:
        yield f"seal {seal.seq} states the position {seal.position}, but what is sealed comes to {recount}"


def current_leaves(seal: Seal) -> Iterator[tuple[bytes, bytes]]:
    """Yield id and leaf hash of each entry in a seal's range, formatted by PostgreSQL."""
    with connections[str(seal._state.db)].cursor() as cursor:
        cursor.execute(LEAVES, [str(seal.from_xid), str(seal.to_xid)])
        for entry, data in cursor:
            yield entry, merkle.leaf_hash(data.encode())


def exact_leaves(entries: Iterable[UUID], seal: Seal) -> dict[bytes, bytes]:
    """Return id and leaf hash of the entries, formatted by Python as at sealing."""
    rows = Entry.objects.using(seal._state.db).filter(pk__in=entries).values_list(*signing.LEAF_COLUMNS)
    return {row[0].bytes: merkle.leaf_hash(signing.leaf_data(row)) for row in rows}


def current_sums(seal: Seal) -> str:
    """Return the sums of the entries in a seal's range, in the format of Seal.sums."""
    entries = Entry.objects.using(seal._state.db).filter(xid__gte=seal.from_xid, xid__lt=seal.to_xid).order_by("currency")
    return seal_ledger.format_sums(dict(entries.values_list("currency").annotate(Sum("amount"))))


def changed_entries(
    seal: Seal, sealed: dict[bytes, bytes], current: dict[bytes, bytes], movements: Container[bytes] = ()
) -> Iterator[str]:
    """Yield the entries, and the movements among them, that were deleted, inserted or changed since sealing."""
    for entry in sealed.keys() - current.keys():
        yield f"entry {UUID(bytes=entry)} was deleted after seal {seal.seq} was made"
    for entry in current.keys() - sealed.keys():
        what = "movement" if entry in movements else "entry"
        yield f"{what} {UUID(bytes=entry)} was inserted after seal {seal.seq} was made"
    for entry in sealed.keys() & current.keys():
        if sealed[entry] != current[entry]:
            what = f"movement {UUID(bytes=entry)}, or a posting of it," if entry in movements else f"entry {UUID(bytes=entry)}"
            yield f"{what} was changed after seal {seal.seq} was made"


def is_late(using: str = "default") -> bool:
    """Return whether a closed entry is overdue for sealing."""
    with connections[using].cursor() as cursor:
        cursor.execute(LATE)
        return cursor.fetchone() is not None


def unsealed_violations(using: str) -> Iterator[str]:
    """Yield the first entry that is overdue for sealing, and the entries that will never be sealed."""
    with connections[using].cursor() as cursor:
        for sql in (LATE, LATE_MOVEMENT, BLOCKED, AHEAD, AHEAD_MOVEMENT):
            cursor.execute(sql)
            yield from (sentence for (sentence,) in cursor.fetchmany(MAX_UNSEALED))
