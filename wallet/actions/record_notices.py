"""Find what people are to be told, and write a notice for each. Nothing here runs on the path of a claim or payment.

Grants and refunds are read from the ledger in commit order behind a cursor; what ends soon is read from the lots each morning.
The cursor moves in the transaction that writes the notices, and a constraint allows one notice per (user, kind, key): run
twice, at once, late or killed, a thing is noticed once.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from kernel.statements import database_time, run_statements
from kernel.time_zones import time_zones
from kernel.timestamps import format_timestamp
from kernel.transactions import atomic_with_retry
from wallet.actions.closed_ranges import end_of_range, start_of_range
from wallet.actions.seal_ledger import closed_horizon
from wallet.ledger.models import Entry, Movement
from wallet.money import format_amount
from wallet.notices.ending_credits import ENDING_CREDITS, ending_parameters, ending_payload
from wallet.notices.models import Notice, NoticeCursor, NoticeKind
from wallet.notices.mornings import Digest, due_digests

LEDGER, MORNINGS = "ledger", "mornings"  # the sources, each with its cursor
MAX_RANGE = 5_000  # claims, and movements, read in one transaction
MAX_DIGESTS = 2_000  # written in one transaction
FIRST_LOOK_BACK = timedelta(days=1)  # the first run sends the digests of this morning
Progress = Callable[[int], None]


def record_notices(progress: Progress = lambda _: None) -> int:
    """Write the notices that are due now and return how many; stop where another scheduler is at work."""
    total = 0
    for record_batch in (record_ledger_range, record_digest_batch):
        more = True
        while more:
            count, more = record_batch()
            total += count
            progress(count)
    return total


@atomic_with_retry(idempotent=True)
def record_ledger_range() -> tuple[int, bool]:
    """Write the notices of the next closed range of the ledger; return how many, and whether there is more to read.

    Closed transactions are below the oldest running one, so that none that commits late is missed. The first run only notes
    where the ledger ends: earlier grants and refunds are not news.
    """
    cursor, horizon = lock_cursor(LEDGER), closed_horizon()
    if cursor is None:
        return 0, False
    start = start_after(cursor, horizon)
    end = end_of_range((Entry, Movement), start, horizon, MAX_RANGE)
    notices = [*granted_notices(start, end), *refunded_notices(start, end)]
    cursor.xid = end
    cursor.save(update_fields=["xid"])
    return insert_notices(notices), end < horizon


@atomic_with_retry(idempotent=True)
def record_digest_batch() -> tuple[int, bool]:
    """Write digests of what ends soon where it is morning; return how many, and whether there may be more to write."""
    cursor = lock_cursor(MORNINGS)
    if cursor is None:
        return 0, False
    now = database_time()
    for digest in digests_due(cursor, now):
        people = run_statements({"people": ENDING_CREDITS}, ending_parameters(digest, MAX_DIGESTS))["people"]
        day = digest.day.isoformat()
        count = insert_notices(
            Notice(user_id=person.user_id, kind=NoticeKind.ENDING_SOON, key=day, payload=ending_payload(day, person.credits))
            for person in people
        )
        if count:
            return count, True  # the cursor moves when nobody is left
    cursor.at = now
    cursor.save(update_fields=["at"])
    return 0, False


def lock_cursor(source: str) -> NoticeCursor | None:
    """Lock and return the cursor of a source; None while another scheduler reads that source."""
    NoticeCursor.objects.bulk_create([NoticeCursor(source=source)], ignore_conflicts=True)
    return NoticeCursor.objects.select_for_update(skip_locked=True, no_key=True).filter(source=source).first()


def start_after(cursor: NoticeCursor, horizon: int) -> int:
    """Return the first transaction id that was not read; the horizon when nothing was."""
    return horizon if cursor.xid is None else start_of_range(cursor.xid, horizon)


def digests_due(cursor: NoticeCursor, now: datetime) -> list[Digest]:
    """Return the digests of the mornings since the last look."""
    return due_digests(cursor.at or now - FIRST_LOOK_BACK, now, {"", *time_zones()})


def granted_notices(start: int, end: int) -> Iterable[Notice]:
    """Return a notice for each claim of the range that an operator, a service or a rule made for somebody."""
    entries = Entry.objects.filter(xid__gte=start, xid__lt=end, grant__isnull=False).order_by("xid", "id")
    for entry in entries.select_related("asset", "grant__service"):
        payload = {
            "claim": str(entry.pk),
            "title": entry.asset.title,
            "amount": format_amount(entry.amount, entry.currency),
            "currency": entry.currency,
            "spendable_from": format_timestamp(entry.spendable_from),
            "spendable_until": format_timestamp(entry.spendable_until),
            "service": entry.grant.service.name if entry.grant.service else None,
        }
        yield Notice(user_id=entry.user_id, kind=NoticeKind.GRANTED, key=str(entry.pk), payload=payload)


def refunded_notices(start: int, end: int) -> Iterable[Notice]:
    """Return a notice for each refund of the range, with what of it is left to spend: an ended credit lapses at once."""
    rows = Movement.objects.filter(xid__gte=start, xid__lt=end)
    refunds = list(rows.filter(kind="REFUND").select_related("payment", "service").order_by("xid", "id"))
    taken = taken_with(refunds)
    for refund in refunds:
        left = refund.amount - taken.get((refund.xid, refund.user_id, refund.currency), 0)
        payload = {
            "movement": str(refund.pk),
            "payment": str(refund.payment_id),
            "service": refund.service and refund.service.name,
            "order": refund.payment and refund.payment.reference,
            "amount": format_amount(refund.amount, refund.currency),
            "left": format_amount(max(left, Decimal(0)), refund.currency),
            "currency": refund.currency,
        }
        yield Notice(user_id=refund.user_id, kind=NoticeKind.REFUNDED, key=str(refund.pk), payload=payload)


def taken_with(refunds: Sequence[Movement]) -> dict[tuple[Any, ...], Decimal]:
    """Return what lapsed or was clawed back in the transaction of a refund, by (transaction, user, currency)."""
    rows = Movement.objects.filter(xid__in=[refund.xid for refund in refunds], kind__in=("LAPSE", "CLAWBACK"))
    sums = rows.order_by().values_list("xid", "user", "currency").annotate(Sum("amount"))
    return {(xid, user, currency): amount for xid, user, currency, amount in sums}


def insert_notices(notices: Iterable[Notice]) -> int:
    """Insert the notices that there are not yet; return how many are new."""
    found = list(notices)
    before = {notice.pk for notice in found}
    Notice.objects.bulk_create(found, ignore_conflicts=True)
    return Notice.objects.filter(pk__in=before).count() if before else 0
