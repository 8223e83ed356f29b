"""What a bulk job does to a set of locked credits: expire, extend, delete. Each returns how many, and why others were left."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from wallet.actions.issue_assets import resolve_expiry
from wallet.assets.batches import BulkJob, JobKind
from wallet.assets.change_context import recording_change
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool
from wallet.assets.querysets import AssetQuerySet

# Reasons to pass over a credit; a claimed or expired one is counted by its status.
RECREATED, NOT_LATER = "RECREATED", "NOT_LATER"
Outcome = tuple[int, Counter[str]]


def credits_of(job: BulkJob) -> AssetQuerySet:
    """Return the unclaimed credits of the job's batch or pool that the job's kind may change.

    Those issued after the job was confirmed are not among them: ids are in order of time.
    """
    credits = CashbackAsset.objects.in_batch(job.batch) if job.batch else CashbackAsset.objects.filter(pool=job.pool)
    kept = Q(status=AssetStatus.AVAILABLE)
    if job.kind != JobKind.EXTEND:
        kept |= Q(status=AssetStatus.SCHEDULED)
    if job.kind == JobKind.DELETE:
        kept |= Q(status=AssetStatus.EXPIRED)
    return credits.filter(kept, claimed_by=None, pk__lt=job.pk)


def find_credits(job: BulkJob, limit: int) -> list[UUID]:
    """Return the ids of the next credits that the job has not reached, in order."""
    credits = credits_of(job)
    if job.last_id:
        credits = credits.filter(pk__gt=job.last_id)
    with without_statement_timeout():
        return list(credits.order_by("pk").values_list("pk", flat=True)[:limit])


def count_credits(job: BulkJob) -> int:
    """Return the number of credits that the job may change."""
    with without_statement_timeout():
        return credits_of(job).count()


@contextmanager
def without_statement_timeout() -> Iterator[None]:
    """Open a transaction whose queries may take long on a cold disk; they hold no locks that claims need."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
        yield


def lock_credits(ids: Sequence[UUID], skip_locked: bool) -> list[CashbackAsset]:
    """Lock the credits and return them with their current status, those without locked by others if `skip_locked`."""
    locked = CashbackAsset.objects.filter(pk__in=ids).order_by("pk")
    held = list(locked.select_for_update(no_key=True, of=("self",), skip_locked=skip_locked).values_list("pk", flat=True))
    return list(CashbackAsset.objects.with_current_status().filter(pk__in=held).order_by("pk"))


def expire(job: BulkJob, credits: Sequence[CashbackAsset]) -> Outcome:
    """Mark the AVAILABLE and SCHEDULED credits as EXPIRED."""
    unclaimed = (AssetStatus.AVAILABLE, AssetStatus.SCHEDULED)
    ids = [credit.pk for credit in credits if credit.status in unclaimed]
    with recording_change(job.created_by, "expire"):
        done = CashbackAsset.objects.filter(pk__in=ids).update(status=AssetStatus.EXPIRED)
    return done, Counter(credit.status for credit in credits if credit.status not in unclaimed)


def extend(job: BulkJob, credits: Sequence[CashbackAsset]) -> Outcome:
    """Set the later expiry of AVAILABLE credits; an expiry is never shortened."""
    passed_over: Counter[str] = Counter()
    ids: dict[datetime | None, list[UUID]] = defaultdict(list)
    pools = CreditPool.objects.in_bulk({credit.pool_id for credit in credits if credit.pool_id})
    for credit in credits:
        if credit.current_status != AssetStatus.AVAILABLE:
            passed_over[credit.current_status] += 1
            continue
        expiry = resolve_expiry(job.until_time or job.until_day, pools.get(credit.pool_id) if credit.pool_id else None)
        if credit.expires_at is None or (expiry is not None and expiry <= credit.expires_at):
            passed_over[NOT_LATER] += 1
        else:
            ids[expiry].append(credit.pk)
    with recording_change(job.created_by, "update"):
        done = sum(CashbackAsset.objects.filter(pk__in=pks).update(expires_at=expiry) for expiry, pks in ids.items())
    return done, passed_over


def delete(job: BulkJob, credits: Sequence[CashbackAsset]) -> Outcome:
    """Delete the unclaimed credits that were not recreated."""
    children = CashbackAsset.objects.filter(recreated_from__in=[credit.pk for credit in credits])
    parents = set(children.values_list("recreated_from", flat=True))
    passed_over: Counter[str] = Counter()
    ids = []
    for credit in credits:
        if credit.status == AssetStatus.CLAIMED:
            passed_over[credit.status] += 1
        elif credit.pk in parents:
            passed_over[RECREATED] += 1
        else:
            ids.append(credit.pk)
    with recording_change(job.created_by, "delete"):
        done = CashbackAsset.objects.filter(pk__in=ids)._raw_delete("default") or 0
    return done, passed_over


CHANGES: dict[JobKind, Callable[[BulkJob, Sequence[CashbackAsset]], Outcome]] = {
    JobKind.EXPIRE: expire,
    JobKind.EXTEND: extend,
    JobKind.DELETE: delete,
}
