"""The sweep of expired assets."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.models import User
from kernel.refusals import Refusal
from tests.concurrency import at_once
from wallet import tasks
from wallet.actions import expire_assets
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import Claim
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import key_ring
from wallet.ledger.models import Entry, IdempotencyKey

Issue = Callable[..., CashbackAsset]


@pytest.fixture
def due(db: None) -> Callable[[int], None]:
    """Insert that many assets whose expiry has passed."""

    def make(count: int, ago: float = 1) -> None:
        past = timezone.now() - timedelta(seconds=ago)
        credit: dict[str, Any] = {"title": "Due", "total_value": Decimal(1), "currency": "INR", "expires_at": past}
        CashbackAsset.objects.bulk_create(CashbackAsset(**credit) for _ in range(count))

    return make


def test_only_due_assets_expire(due: Callable[[int], None], issue: Issue) -> None:
    due(3)
    later = issue(expires_at=timezone.now() + timedelta(days=1))
    never = issue()
    batch_sizes: list[int] = []

    swept = expire_assets.expire_due(batch_sizes.append, batch_size=2)

    assert (swept, batch_sizes) == (3, [2, 1])
    assert set(CashbackAsset.objects.filter(status="AVAILABLE")) == {later, never}


def test_a_second_sweep_finds_nothing(due: Callable[[int], None]) -> None:
    due(3)
    expire_assets.expire_due()

    assert expire_assets.expire_due() == 0


def test_sweep_ignores_claimed_assets(issue: Issue, alice: User) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(seconds=0.3))
    claim_asset(asset.pk, alice)
    while timezone.now() <= asset.expires_at:  # type: ignore[operator]
        pass

    assert expire_assets.expire_due() == 0
    asset.refresh_from_db()
    assert asset.status == "CLAIMED"


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_mark_each_asset_once(due: Callable[[int], None]) -> None:
    due(500)

    counts = at_once(lambda _: expire_assets.expire_due(batch_size=50), range(2))

    assert sum(counts) == 500  # type: ignore[arg-type]
    assert CashbackAsset.objects.filter(status="EXPIRED").count() == 500


@pytest.mark.django_db(transaction=True)
def test_sweep_does_not_wait_for_a_locked_asset(due: Callable[[int], None], elsewhere: psycopg.Connection[Any]) -> None:
    due(2)
    held = CashbackAsset.objects.first()
    assert held is not None
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [held.pk])

    assert expire_assets.expire_due() == 1

    elsewhere.rollback()
    assert expire_assets.expire_due() == 1


@pytest.mark.django_db(transaction=True)
def test_claims_and_sweeps_on_the_edge_never_both_have_an_asset(
    open_pool: Callable[..., CreditPool], make_users: Callable[[int], list[User]]
) -> None:
    start, pool = timezone.now(), open_pool()
    assets = CashbackAsset.objects.bulk_create(
        CashbackAsset(
            title="Edge", total_value=1, currency="INR", pool=pool, expires_at=start + timedelta(milliseconds=100 + 5 * n)
        )
        for n in range(200)
    )
    users = make_users(8)

    def run(who: User | None) -> int:
        if who is None:
            return sum(expire_assets.expire_due() for _ in range(40))
        return sum(isinstance(attempt(asset, who), Claim) for asset in assets)

    def attempt(asset: CashbackAsset, user: User) -> Any:
        try:
            return claim_asset(asset.pk, user)
        except Refusal as refusal:
            return refusal

    counts = at_once(run, [*users, None, None])
    expire_assets.expire_due()

    claimed = CashbackAsset.objects.filter(status="CLAIMED")
    assert claimed.count() == sum(counts[:8]) == Entry.objects.count()  # type: ignore[arg-type]
    assert all(asset.claimed_at < asset.expires_at for asset in claimed)  # type: ignore[operator]


def test_the_clocks_tasks_exist_under_the_names_they_are_scheduled_by(due: Callable[[int], None]) -> None:
    due(1)

    assert tasks.sweep() == 1
    paths = [path for path, _ in tasks.SCHEDULES.values()]
    assert paths == [
        "wallet.tasks.sweep",
        "wallet.tasks.seal_for_a_minute",
        "wallet.tasks.publish_seals",
        "wallet.tasks.run_bulk_jobs",
        "wallet.tasks.sweep_wallets",
        "wallet.tasks.open_scheduled_credits",
        "wallet.tasks.refill",
        "wallet.tasks.grant_for_a_minute",
        "wallet.tasks.send_webhooks",
        "wallet.tasks.notify_people",
        "wallet.tasks.forget_old_answers",
    ]
    assert all(callable(import_string(path)) for path in paths)


def test_answers_are_forgotten_after_seven_days(alice: User) -> None:
    for key in ("young", "old"):
        IdempotencyKey.objects.create(user=alice, route="claim", key=key)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE ledger_idempotencykey SET partition_number = {key_ring.NEXT_WEEK} WHERE key = 'old'")

    assert tasks.forget_old_answers() == 0  # sign-ins
    assert IdempotencyKey.objects.get().key == "young"


def spread(count: int) -> list[CashbackAsset]:
    """Insert assets of which the youngest ended first, and return them in the order in which they ended."""
    credit: dict[str, Any] = {"title": "Due", "total_value": Decimal(1), "currency": "INR"}
    now = timezone.now()
    made = [CashbackAsset(**credit, expires_at=now - timedelta(seconds=number + 1)) for number in range(count)]
    return CashbackAsset.objects.bulk_create(made)[::-1]


def expired() -> set[Any]:
    return set(CashbackAsset.objects.filter(status="EXPIRED").values_list("pk", flat=True))


def test_window_has_the_earliest_due_assets_in_order_of_id(db: None) -> None:
    assets = spread(5)

    first = expire_assets.find_due(3)
    second = expire_assets.find_due(3, first)

    assert first
    assert second
    assert first.ids == sorted(asset.pk for asset in assets[:3])
    assert second.ids == sorted(asset.pk for asset in assets[3:])
    assert expire_assets.find_due(3, second) is None
    assert expired() == set()


def test_assets_with_one_expiry_are_found_once_each(due: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_assets, "BATCHES_PER_WINDOW", 1)
    due(5)
    batch_sizes: list[int] = []

    assert expire_assets.expire_due(batch_sizes.append, batch_size=2) == 5
    assert batch_sizes == [2, 2, 1]


def test_batch_continues_after_the_previous_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_assets, "BATCHES_PER_WINDOW", 2)
    first = {asset.pk for asset in spread(5)[:4]}

    count, window = expire_assets.expire_batch(2)
    assert (count, len(expired() & first)) == (2, 2)
    count, window = expire_assets.expire_batch(2, window)
    assert (count, expired()) == (2, first)
    count, window = expire_assets.expire_batch(2, window)
    assert (count, len(expired())) == (1, 5)

    assert expire_assets.expire_batch(2, window) == (0, None)


def test_assets_changed_since_the_query_are_checked_again(due: Callable[[int], None], issue: Issue) -> None:
    due(1)
    later = issue(expires_at=timezone.now() + timedelta(days=1))
    found = expire_assets.find_due(3)
    assert found

    assert expire_assets.mark_expired([*found.ids, later.pk]) == 1
    assert expire_assets.mark_expired([*found.ids, later.pk]) == 0
    assert expired() == set(found.ids)


@pytest.mark.django_db(transaction=True)
def test_sweep_continues_after_a_batch_of_locked_assets(due: Callable[[int], None], elsewhere: psycopg.Connection[Any]) -> None:
    due(3)
    held = list(CashbackAsset.objects.order_by("pk").values_list("pk", flat=True)[:2])
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = ANY(%s) FOR UPDATE", [held])

    assert expire_assets.expire_due(batch_size=2) == 1

    elsewhere.rollback()
    assert expire_assets.expire_due(batch_size=2) == 2


def test_sweep_stops_after_its_time_limit(due: Callable[[int], None]) -> None:
    due(3)

    assert expire_assets.expire_due(batch_size=1, rest=1, seconds=0) == 0
    assert expire_assets.expire_due(batch_size=1, rest=0.1, seconds=60) == 3


def test_the_clock_rests_after_each_of_its_small_batches(due: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(tasks, "BATCH_SIZE", 2)
    monkeypatch.setattr("wallet.actions.expire_assets.time.sleep", rests.append)
    due(5)
    begun = time.monotonic()

    assert tasks.sweep() == 5

    assert len(rests) == 3
    assert 0 < sum(rests) < tasks.REST_RATIO * (time.monotonic() - begun)
