"""Batches and bulk jobs in the console."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.admin.conftest import message_texts
from wallet.actions import bulk_jobs, edit_asset, edit_pool, issue_assets
from wallet.actions.claim import claim_asset
from wallet.assets.batches import Batch, BatchHeader, BulkJob
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest

pytestmark = pytest.mark.django_db
OpenPool = Callable[..., CreditPool]


def page(batch: Batch) -> str:
    return reverse("admin:assets_batch_change", args=[batch.pk])


def job_page(target: Any, kind: str) -> str:
    return reverse(f"admin:assets_{target._meta.model_name}_bulk_job", args=[target.pk, kind])


@pytest.fixture
def batch(ada: User, open_pool: OpenPool) -> Batch:
    """Five lamps of 2.50 rupees."""
    return issue(ada, open_pool(per_user_limit=None), 5)


def issue(ada: User, pool: CreditPool, count: int) -> Batch:
    request = IdempotentRequest(ada, "issue", uuid4().hex, "x")
    fields: Any = {"title": "Lamp", "total_value": Decimal("2.50")}
    batch: Any = issue_assets.issue_in_pool(ada, pool.pk, count=count, request=request, **fields).batch
    return Batch.objects.get(pk=batch)


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode().replace("\xa0", " ")))


def test_batches_are_listed_with_count_value_and_operator(console: Client, batch: Batch) -> None:
    listed = text(console.get(reverse("admin:assets_batch_changelist")))

    assert "Lamp" in listed
    assert "12.50 INR" in listed
    assert "ada@example.com" in listed


def test_page_of_a_batch_shows_what_became_of_it_and_leads_to_its_credits(console: Client, batch: Batch, alice: User) -> None:
    claim_asset(CashbackAsset.objects.in_batch(batch).earliest("pk").pk, alice)
    issue_assets.issue_asset(None, title="Another", total_value=Decimal(1), currency="INR")

    answer = console.get(page(batch))

    assert "20% claimed" in text(answer)
    figures = {str(figure["state"]): (figure["count"], figure["value"]) for figure in answer.context["lines"][0]["figures"]}
    assert figures["Claimed"] == ("1", "2.50\xa0INR")
    assert figures["Available"] == ("4", "10.00\xa0INR")
    credits = console.get(answer.context["credits"])
    assert {asset.title for asset in credits.context["cl"].result_list} == {"Lamp"}
    assert len(credits.context["cl"].result_list) == 5


@pytest.mark.parametrize(("value", "status"), [("x", 400), ("00000000-0000-7000-8000-000000000000", 200)])
def test_unknown_batch_lists_no_credit_and_what_is_no_id_is_refused(
    console: Client, batch: Batch, value: str, status: int
) -> None:
    listed = console.get(reverse("admin:assets_cashbackasset_changelist"), {"batch": value})

    assert (listed.status_code, list(listed.context["cl"].result_list)) == (status, [])


def test_batches_of_one_pool_are_listed_alone(console: Client, batch: Batch, ada: User, open_pool: OpenPool) -> None:
    pool = CreditPool.objects.get()
    issue(ada, pool, 2)
    issue(ada, open_pool(name="Another", per_user_limit=None), 1)

    listed = console.get(reverse("admin:assets_batch_changelist"), {"pool": str(pool.pk)})

    assert sorted(each.totals[0]["n"] for each in listed.context["cl"].result_list) == [2, 5]


def test_addresses_of_jobs_take_ids_in_upper_case(console: Client, batch: Batch) -> None:
    pool = CreditPool.objects.get()
    for target in (batch, pool):
        address = job_page(target, "expire").replace(str(target.pk), str(target.pk).upper())
        assert console.get(address).status_code == 200


def test_undoing_says_how_many_go_and_how_many_stay_then_deletes_the_unclaimed(
    console: Client, batch: Batch, alice: User
) -> None:
    claim_asset(CashbackAsset.objects.in_batch(batch).earliest("pk").pk, alice)

    asked = console.get(job_page(batch, "delete"))
    assert "4 of 5 credits can be changed" in text(asked)
    assert "1 claimed and not touched" in text(asked)
    assert BulkJob.objects.count() == 0

    started = console.post(job_page(batch, "delete"), {"confirmed": "yes"})
    job = BulkJob.objects.get()
    assert started["Location"] == reverse("admin:assets_bulkjob_change", args=[job.pk])
    assert (job.channel, job.created_by.email, job.batch) == ("admin", "ada@example.com", batch)  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_progress_is_shown_until_the_job_is_done(console: Client, batch: Batch) -> None:
    console.post(job_page(batch, "expire"), {"confirmed": "yes"})
    job = BulkJob.objects.get()
    watched = reverse("admin:assets_bulkjob_progress", args=[job.pk])
    assert "hx-get" in console.get(watched).content.decode()

    bulk_jobs.run_job(job.pk)

    done = console.get(watched)
    assert "hx-get" not in done.content.decode()
    assert "5 of 5 credits changed" in text(done)
    assert "Done" in text(console.get(reverse("admin:assets_bulkjob_change", args=[job.pk])))


@pytest.mark.django_db(transaction=True)
def test_a_whole_pool_is_extended(console: Client, batch: Batch) -> None:
    pool = CreditPool.objects.get()
    edit_asset.update_asset(CashbackAsset.objects.earliest("pk").pk, None, expires_at=None)
    CashbackAsset.objects.update(expires_at="2090-01-01T00:00:00Z")

    refused = console.post(job_page(pool, "extend"), {"confirmed": "yes"})
    assert BulkJob.objects.count() == 0
    assert refused.status_code == 200
    console.post(job_page(pool, "extend"), {"confirmed": "yes", "never": "on"})
    bulk_jobs.run_job(BulkJob.objects.get().pk)

    assert CashbackAsset.objects.filter(expires_at=None).count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_job_is_cancelled(console: Client, batch: Batch) -> None:
    console.post(job_page(batch, "expire"), {"confirmed": "yes"})
    cancel = reverse("admin:assets_bulkjob_cancel", args=[BulkJob.objects.get().pk])

    assert console.get(cancel).status_code == 403
    assert "cancelled" in message_texts(console.post(cancel))[-1]
    assert BulkJob.objects.get().state == "CANCELLED"


@pytest.mark.django_db(transaction=True)
def test_a_second_job_is_refused_with_its_reason(console: Client, batch: Batch) -> None:
    console.post(job_page(batch, "expire"), {"confirmed": "yes"})

    answer = console.post(job_page(batch, "delete"), {"confirmed": "yes"})

    assert "has not finished" in message_texts(answer)[-1]
    assert BulkJob.objects.count() == 1


def test_pool_leads_to_its_jobs(console: Client, batch: Batch) -> None:
    pool = CreditPool.objects.get()

    answer = console.get(reverse("admin:assets_creditpool_bulk", args=[pool.pk]))

    assert job_page(pool, "expire") in answer.content.decode()


def test_credits_recreated_in_bulk_share_a_batch(console: Client, ada: User, choose: Callable[..., Any]) -> None:
    assets = [issue_assets.issue_asset(ada, title="Tea", total_value=Decimal(1), currency="INR") for _ in range(3)]
    for asset in assets:
        edit_asset.expire_asset(asset.pk, ada)

    choose("recreate", *assets)

    assert len(set(CashbackAsset.objects.filter(generation=2).values_list("batch", flat=True))) == 1
    assert Batch.objects.filter(title="Recreated credits").count() == 1


def test_batch_without_a_title_is_named_by_its_id(console: Client, ada: User) -> None:
    header = BatchHeader("")
    issue_assets.issue_assets(
        [issue_assets.build_asset(ada, title="Tea", total_value=Decimal(1), currency="INR")], batch=header
    )

    assert str(header.id) in text(console.get(page(Batch.objects.get())))


def shown_of(page: Any) -> dict[str, str]:
    """Return the hidden inputs by which a confirmation carries what it showed."""
    return dict(re.findall(r'name="(shown|version)" value="([^"]*)"', page.content.decode()))


@pytest.mark.parametrize("kind", ["expire", "extend", "delete"])
def test_a_job_over_more_credits_than_were_shown_is_not_started(console: Client, batch: Batch, ada: User, kind: str) -> None:
    pool = CreditPool.objects.get()
    confirmed = {"confirmed": "yes", "last_day": "2090-03-31"} | shown_of(console.get(job_page(pool, kind)))
    issue(ada, pool, 2)

    refused = console.post(job_page(pool, kind), confirmed)

    assert (refused.status_code, BulkJob.objects.count()) == (200, 0)
    assert "nothing was done" in message_texts(refused)[-1]
    assert "7 of 7 credits can be changed" in text(refused)
    console.post(job_page(pool, kind), confirmed | shown_of(refused))
    assert BulkJob.objects.count() == 1


def test_a_job_is_started_although_some_of_the_credits_were_claimed_meanwhile(
    console: Client, batch: Batch, alice: User
) -> None:
    pool = CreditPool.objects.get()
    confirmed = {"confirmed": "yes"} | shown_of(console.get(job_page(pool, "expire")))
    claim_asset(CashbackAsset.objects.earliest("pk").pk, alice)

    console.post(job_page(pool, "expire"), confirmed)

    assert BulkJob.objects.count() == 1


def test_a_job_over_a_pool_whose_days_end_elsewhere_meanwhile_is_not_started(console: Client, batch: Batch, ada: User) -> None:
    pool = CreditPool.objects.get()
    confirmed = {"confirmed": "yes", "last_day": "2090-03-31"} | shown_of(console.get(job_page(pool, "extend")))
    edit_pool.update_pool(pool.pk, ada, time_zone="Asia/Kolkata")

    refused = console.post(job_page(pool, "extend"), confirmed)

    assert BulkJob.objects.count() == 0
    assert "nothing was done" in message_texts(refused)[-1]


@pytest.mark.django_db(transaction=True)
def test_progress_of_a_waiting_or_cancelled_job_is_not_shown_as_complete(console: Client, batch: Batch) -> None:
    console.post(job_page(batch, "expire"), {"confirmed": "yes"})
    job = BulkJob.objects.get()
    watched = reverse("admin:assets_bulkjob_progress", args=[job.pk])

    waiting = console.get(watched)
    bulk_jobs.cancel_job(job.pk)

    assert 'value="0"' in waiting.content.decode()
    assert "0 of 0" not in text(waiting)
    assert 'value="0"' in console.get(watched).content.decode()
