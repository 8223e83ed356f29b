"""Bulk jobs: all unclaimed credits of a batch or pool, each handled once, however often and at once the job runs."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import User
from wallet import tasks
from wallet.actions import bulk_changes, bulk_jobs, claim, edit_asset, issue_assets, recreate_asset
from wallet.assets.batches import Batch, BulkJob, JobKind, JobState
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest
from wallet.queries import batches

OpenPool = Callable[..., CreditPool]
pytestmark = pytest.mark.django_db(transaction=True)
AssetEvent: Any = CashbackAsset.pgh_event_model  # type: ignore[attr-defined]


def issue(ada: User, pool: CreditPool, count: int, **fields: Any) -> Batch:
    values: Any = {"title": "Lamp", "total_value": Decimal("2.50")} | fields
    request = IdempotentRequest(ada, "issue", uuid4().hex, "x")
    batch: Any = issue_assets.issue_in_pool(ada, pool.pk, count=count, request=request, **values).batch
    return Batch.objects.get(pk=batch)


def test_a_whole_batch_is_expired_and_claimed_credits_and_other_batches_stay(
    ada: User, alice: User, open_pool: OpenPool
) -> None:
    pool = open_pool(per_user_limit=None)
    batch, other = issue(ada, pool, 450), issue(ada, pool, 3)
    claim.claim_asset(CashbackAsset.objects.in_batch(batch).latest("pk").pk, alice)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)

    job = bulk_jobs.run_job(job.pk)

    assert (job.state, job.total, job.done, job.passed_over, job.percent) == (JobState.DONE, 449, 449, {}, 100)
    counts = batches.counts(batch)
    assert (counts["expired"], counts["claimed"], counts["available"]) == (449, 1, 0)
    assert batches.counts(other)["available"] == 3
    assert (
        AssetEvent.objects.filter(pgh_context__metadata__action="expire", pgh_context__metadata__email=ada.email).count() == 449
    )


def test_a_whole_pool_is_extended_and_no_expiry_is_shortened(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")
    issue(ada, pool, 5, expires_at=date(2090, 3, 1))
    issue(ada, pool, 2, expires_at=date(2095, 3, 1))
    issue(ada, pool, 1)

    job = bulk_jobs.run_job(bulk_jobs.start_job(ada, JobKind.EXTEND, pool, until=date(2090, 3, 31)).pk)

    assert (job.done, job.passed_over) == (5, {"NOT_LATER": 3})
    assert CashbackAsset.objects.filter(expires_at=datetime(2090, 3, 31, 18, 30, tzinfo=UTC)).count() == 5


def test_deletion_keeps_claimed_and_recreated_credits(ada: User, alice: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(per_user_limit=None), 6)
    first, second, third, *_ = CashbackAsset.objects.in_batch(batch).order_by("pk")
    claim.claim_asset(first.pk, alice)
    for asset in (second, third):
        edit_asset.expire_asset(asset.pk, ada)
    child = recreate_asset.recreate_asset(second.pk, ada)

    job = bulk_jobs.run_job(bulk_jobs.start_job(ada, JobKind.DELETE, batch).pk)

    assert (job.done, job.passed_over) == (4, {"RECREATED": 1})
    assert set(CashbackAsset.objects.values_list("pk", flat=True)) == {first.pk, second.pk, child.pk}
    assert batches.counts(batch) == {"issued": 6, "scheduled": 0, "available": 0, "claimed": 1, "expired": 1, "deleted": 4}


def test_an_interrupted_job_goes_on_where_it_was(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 700)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    bulk_jobs.begin(job.pk)
    window = bulk_changes.find_credits(job, 200)
    bulk_jobs.handle_credits(job.pk, window)
    again = bulk_jobs.handle_credits(job.pk, window)  # delivered twice

    finished = bulk_jobs.run_job(job.pk)

    assert (again.done, finished.done, finished.state) == (200, 700, JobState.DONE)
    assert AssetEvent.objects.count() == 700


def test_two_workers_at_once_handle_each_credit_once(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 1_000)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)

    def work() -> None:
        bulk_jobs.run_job(job.pk)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    job.refresh_from_db()
    assert (job.state, job.done, job.passed_over) == (JobState.DONE, 1_000, {})
    assert AssetEvent.objects.count() == 1_000


def test_credit_locked_by_a_claim_is_not_waited_for_and_tried_again_at_the_end(
    ada: User, alice: User, open_pool: OpenPool
) -> None:
    batch = issue(ada, open_pool(), 3)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    bulk_jobs.begin(job.pk)
    held = CashbackAsset.objects.in_batch(batch).earliest("pk")
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            CashbackAsset.objects.select_for_update(no_key=True).get(pk=held.pk)
            locked.set()
            release.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    meanwhile = bulk_jobs.handle_credits(job.pk, bulk_changes.find_credits(job, 10))
    release.set()
    holder.join()

    assert (meanwhile.done, meanwhile.locked_ids) == (2, [str(held.pk)])
    assert bulk_jobs.run_job(job.pk).done == 3


def test_a_cancelled_job_stops_and_keeps_what_it_did(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 500)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    bulk_jobs.begin(job.pk)
    bulk_jobs.handle_credits(job.pk, bulk_changes.find_credits(job, 200))

    bulk_jobs.cancel_job(job.pk)

    assert bulk_jobs.run_job(job.pk).state == JobState.CANCELLED
    assert batches.counts(batch)["expired"] == 200


def test_a_finished_job_cannot_be_cancelled(ada: User, open_pool: OpenPool) -> None:
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, issue(ada, open_pool(), 1))
    bulk_jobs.run_job(job.pk)

    assert bulk_jobs.cancel_job(job.pk).state == JobState.DONE


def test_a_second_job_of_the_same_batch_waits_for_the_first(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 1)
    bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)

    with pytest.raises(bulk_jobs.JobUnfinished):
        bulk_jobs.start_job(ada, JobKind.DELETE, batch)
    assert BulkJob.objects.count() == 1


def test_an_expiry_in_the_past_is_refused(ada: User, open_pool: OpenPool) -> None:
    with pytest.raises(ValidationError):
        bulk_jobs.start_job(ada, JobKind.EXTEND, open_pool(), until=timezone.now() - timedelta(days=1))


def test_the_scheduler_runs_a_started_job(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 10)
    bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    assert OrmQ.objects.count() == 1

    tasks.run_bulk_jobs()

    assert BulkJob.objects.get().state == JobState.DONE
    assert OrmQ.objects.count() == 1


def test_a_job_whose_transaction_rolled_back_is_not_queued(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 1)
    bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)

    with pytest.raises(bulk_jobs.JobUnfinished):
        bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)

    assert OrmQ.objects.count() == 1


def test_a_job_under_the_lease_of_another_worker_is_left_to_it(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), 1)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    BulkJob.objects.filter(pk=job.pk).update(leased_until=timezone.now() + timedelta(seconds=30))

    assert bulk_jobs.run_next_job(seconds=5, rest=0) is None


@pytest.mark.parametrize("wrong_by", [timedelta(days=1), -timedelta(days=1)])
def test_a_lease_is_by_the_time_of_postgresql(ada: User, open_pool: OpenPool, wrong_by: timedelta) -> None:
    batch = issue(ada, open_pool(), 2)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, batch)
    bulk_jobs.begin(job.pk)
    now = timezone.now()

    with time_machine.travel(now + wrong_by, tick=True):
        bulk_jobs.handle_credits(job.pk, bulk_changes.find_credits(job, 1))

    assert now < BulkJob.objects.get(pk=job.pk).leased_until < now + 2 * bulk_jobs.LEASE  # type: ignore[operator]
    assert bulk_jobs.run_next_job(seconds=5, rest=0) is None


def test_credits_issued_after_the_start_are_left_alone(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(per_user_limit=None)
    issue(ada, pool, 2)
    job = bulk_jobs.start_job(ada, JobKind.EXPIRE, pool)
    later = issue(ada, pool, 3)

    assert bulk_jobs.run_job(job.pk).done == 2
    assert set(CashbackAsset.objects.in_batch(later).values_list("status", flat=True)) == {"AVAILABLE"}
