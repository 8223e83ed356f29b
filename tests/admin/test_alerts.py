"""The alerts of the overview."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule, Task

from accounts.models import User
from tests.admin.conftest import seal_an_entry
from tests.history import backdate
from tests.money.conftest import end_credit
from wallet.actions import edit_asset, edit_pool, pool_lifecycle, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Lot
from wallet.queries import alerts
from wallet.tasks import SEAL, SWEEP

INDEX = reverse("admin:index")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def finished(group: str, ago: timedelta, success: bool = True) -> None:
    ended = timezone.now() - ago
    Task.objects.create(id=uuid4().hex, name=group, group=group, func="x", started=ended, stopped=ended, success=success)


@pytest.fixture
def swept(db: None) -> None:
    """The scheduler works."""
    finished(SWEEP, timedelta(seconds=50))


def titles(browser: Client) -> list[str]:
    return [alert.title for alert in browser.get(INDEX).context["alerts"]]


@pytest.mark.usefixtures("swept")
def test_nothing_is_shown_while_all_is_well(console: Client, open_pool: OpenPool, issue: Issue, alice: User) -> None:
    pool = open_pool()
    credits = [issue(pool=pool) for _ in range(20)]
    claim_asset(credits[0].pk, alice)
    seal_an_entry()

    assert titles(console) == []
    assert "Needs attention" not in console.get(INDEX).content.decode()


@pytest.mark.parametrize(("due", "is_late"), [(timedelta(minutes=1), False), (timedelta(minutes=-6), True)])
def test_scheduler_that_never_ran_is_late_only_after_its_first_run_was_due(
    console: Client, due: timedelta, is_late: bool
) -> None:
    call_command("schedule_tasks", stdout=StringIO())
    Schedule.objects.filter(name=SWEEP).update(next_run=timezone.now() + due)

    assert titles(console) == (["The scheduler has not run in the last 24 hours."] if is_late else [])


def test_late_scheduler_is_reported_with_the_time_of_its_last_sweep(console: Client) -> None:
    finished(SWEEP, timedelta(minutes=6))
    finished(SWEEP, timedelta(seconds=1), success=False)
    finished(SEAL, timedelta(seconds=1))

    (late, _failed) = titles(console)

    assert late.startswith("The scheduler is late: expired credits were last swept at 20")
    assert "Check that manage.py qcluster is running." in console.get(INDEX).content.decode()


@pytest.mark.parametrize("ago", [None, timedelta(days=3)])
def test_scheduler_that_never_ran_is_reported(console: Client, ago: timedelta | None) -> None:
    if ago:
        finished(SWEEP, ago)

    assert titles(console) == ["The scheduler has not run in the last 24 hours."]


@pytest.mark.usefixtures("swept")
def test_claim_that_waits_for_its_seal_is_reported(console: Client, issue: Issue, alice: User) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(minutes=7))

    assert titles(console) == ["Seals are behind: a claim or payment has been waiting for its seal for 7 minutes."]
    seal_an_entry()
    assert titles(console) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("swept")
def test_payment_that_waits_for_its_seal_is_reported(
    console: Client, credit: Callable[..., Lot], spend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "LATE", timedelta(0))
    credit("10")
    seal_ledger.seal_all()
    finished(SWEEP, timedelta(seconds=-60))
    assert titles(console) == []

    spend("5")

    assert titles(console) == ["Seals are behind: a claim or payment has been waiting for its seal for 0 minutes."]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("swept")
def test_lapse_waits_for_its_seal_since_it_was_recorded_not_since_the_credit_ended(
    console: Client, credit: Callable[..., Lot]
) -> None:
    end_credit(credit("10"), ago=timedelta(hours=1))
    seal_ledger.seal_all()

    assert lapse_ended_credits() == 1

    assert titles(console) == []


@pytest.mark.usefixtures("swept")
def test_fresh_claim_may_wait_for_its_seal(console: Client, issue: Issue, alice: User) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(minutes=4))

    assert titles(console) == []


@pytest.mark.usefixtures("swept")
def test_failed_tasks_of_a_day_are_counted(console: Client) -> None:
    for ago in (timedelta(hours=1), timedelta(hours=23), timedelta(days=2)):
        finished(SEAL, ago, success=False)

    assert titles(console) == ["2 background tasks failed in the last 24 hours."]


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("issued", "taken", "wanted"),
    [
        (20, 10, None),
        (20, 11, "Diwali is nearly sold out: 9 of 20 credits left."),
        (3, 3, "Diwali is sold out: all 3 credits are claimed or expired."),
        (3, 0, None),
    ],
)
def test_pool_of_which_few_are_left_is_reported(
    *, console: Client, open_pool: OpenPool, issue: Issue, ada: User, issued: int, taken: int, wanted: str | None
) -> None:
    pool = open_pool(name="Diwali")
    for credit in [issue(pool=pool) for _ in range(issued)][:taken]:
        edit_asset.expire_asset(credit.pk, ada)

    assert titles(console) == ([wanted] if wanted else [])
    assert (reverse("admin:assets_creditpool_change", args=[pool.pk]) in str(console.get(INDEX).context["alerts"])) == bool(
        wanted
    )


@pytest.mark.usefixtures("swept")
def test_large_pool_is_nearly_sold_out_below_a_twentieth(console: Client, open_pool: OpenPool, issue: Issue, ada: User) -> None:
    pool = open_pool(name="Diwali")
    CashbackAsset.objects.bulk_create([CashbackAsset(title="x", total_value=1, currency="INR", pool=pool) for _ in range(300)])
    taken = list(CashbackAsset.objects.filter(pool=pool).values_list("pk", flat=True)[:286])
    for pk in taken[:285]:
        edit_asset.expire_asset(pk, ada)
    assert titles(console) == []  # 15 of 300 is a twentieth

    edit_asset.expire_asset(taken[285], ada)

    assert titles(console) == ["Diwali is nearly sold out: 14 of 300 credits left."]


@pytest.mark.usefixtures("swept")
def test_pools_from_which_nobody_can_claim_are_not_reported(
    console: Client, open_pool: OpenPool, issue: Issue, ada: User
) -> None:
    paused, archived, closed = (open_pool(name=name) for name in ("Paused", "Archived", "Closed"))
    for pool in (paused, archived, closed):
        edit_asset.expire_asset(issue(pool=pool).pk, ada)
    pool_lifecycle.pause_pool(paused.pk, ada)
    pool_lifecycle.archive_pool(archived.pk, ada)
    now = timezone.now()
    edit_pool.update_pool(closed.pk, ada, opens_at=now - timedelta(days=2), closes_at=now - timedelta(days=1))

    assert titles(console) == []


@pytest.mark.usefixtures("swept")
def test_many_low_pools_are_summed_up(console: Client, open_pool: OpenPool, issue: Issue, ada: User) -> None:
    for number in range(8):
        edit_asset.expire_asset(issue(pool=open_pool(name=f"Pool {number}")).pk, ada)

    assert titles(console)[5:] == ["3 more pools are nearly sold out."]


@pytest.mark.usefixtures("swept")
def test_due_credits_that_no_sweep_marked_are_not_left(console: Client, open_pool: OpenPool, ada: User) -> None:
    pool = open_pool(name="Diwali")
    ended = timezone.now() - timedelta(hours=1)
    CashbackAsset.objects.bulk_create(
        [CashbackAsset(title="x", total_value=1, currency="INR", pool=pool, expires_at=ended) for _ in range(2)]
    )

    assert titles(console) == ["Diwali is sold out: all 2 credits are claimed or expired."]
