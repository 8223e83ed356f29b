"""Issuing assets."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from tests.concurrency import at_once
from wallet.actions import issue_assets
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, fingerprint

OpenPool = Callable[..., CreditPool]
CREDIT: dict[str, Any] = {"title": "Cashback", "total_value": Decimal("10.00")}


def order(user: User, **what: Any) -> IdempotentRequest:
    return IdempotentRequest(user, "issue", "an-order-of-credits", fingerprint(what))


def test_one_asset_is_issued_available_in_its_first_generation(ada: User) -> None:
    asset = issue_assets.issue_asset(ada, currency="INR", **CREDIT)

    assert (asset.current_status, asset.generation, asset.recreated_from, asset.created_by) == ("AVAILABLE", 1, None, ada)
    assert timezone.now() - asset.created_at < timedelta(minutes=1)


def test_an_asset_takes_the_currency_of_its_pool(ada: User, open_pool: OpenPool) -> None:
    asset = issue_assets.issue_asset(ada, pool=open_pool(currency="KWD"), title="Cashback", total_value=Decimal("1.005"))

    assert asset.currency == "KWD"


def test_a_day_ends_where_the_pool_is(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    asset = issue_assets.issue_asset(ada, pool=pool, expires_at=date(2099, 3, 31), **CREDIT)

    assert asset.expires_at == datetime(2099, 3, 31, 18, 30, tzinfo=UTC)


def test_without_a_pool_a_day_ends_in_utc(ada: User) -> None:
    asset = issue_assets.issue_asset(ada, currency="INR", expires_at=date(2099, 3, 31), **CREDIT)

    assert asset.expires_at == datetime(2099, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("title", {"title": "  "}),
        ("title", {"title": "x" * 201}),
        ("total_value", {"total_value": Decimal(0)}),
        ("total_value", {"total_value": Decimal("-1")}),
        ("total_value", {"total_value": Decimal("1.001")}),
        ("total_value", {"total_value": Decimal("NaN")}),
        ("total_value", {"total_value": Decimal("Infinity")}),
        ("total_value", {"total_value": Decimal("1000000000.01")}),
        ("total_value", {"currency": "JPY", "total_value": Decimal("1.5")}),
        ("currency", {"currency": "XXX"}),
        ("currency", {"currency": "inr"}),
        ("currency", {"currency": ""}),
        ("expires_at", {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}),
        ("expires_at", {"expires_at": date(2020, 1, 1)}),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_issued(ada: User, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        issue_assets.issue_asset(ada, **{"currency": "INR"} | CREDIT | wrong)

    assert list(error.value.message_dict) == [field]
    assert CashbackAsset.objects.count() == 0


def test_every_wrong_field_is_named_at_once(ada: User) -> None:
    with pytest.raises(ValidationError) as error:
        issue_assets.issue_asset(ada, title="", total_value=Decimal("1.001"), currency="INR", expires_at=date(2020, 1, 1))

    assert set(error.value.message_dict) == {"title", "total_value", "expires_at"}


def test_another_currency_than_the_pools_is_refused(ada: User, open_pool: OpenPool) -> None:
    with pytest.raises(ValidationError, match="pool's currency is INR"):
        issue_assets.issue_asset(ada, pool=open_pool(), currency="USD", **CREDIT)


def test_many_assets_are_issued_in_one_transaction_with_progress_per_batch(ada: User, open_pool: OpenPool) -> None:
    pool, batch_sizes = open_pool(), list[int]()

    issued = issue_assets.issue_in_pool(ada, pool.pk, count=12_000, request=order(ada), progress=batch_sizes.append, **CREDIT)

    assert issued == issue_assets.Issued(12_000)
    assert batch_sizes == [5_000, 5_000, 2_000]
    assert pool.assets.filter(status="AVAILABLE", total_value=10, created_by=ada).count() == 12_000


def test_the_same_order_again_issues_nothing(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()
    issue_assets.issue_in_pool(ada, pool.pk, count=3, request=order(ada, count=3), **CREDIT)

    again = issue_assets.issue_in_pool(ada, pool.pk, count=3, request=order(ada, count=3), **CREDIT)

    assert again == issue_assets.Issued(3, replayed=True)
    assert pool.assets.count() == 3


def test_another_order_under_the_same_key_is_refused(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()
    issue_assets.issue_in_pool(ada, pool.pk, count=3, request=order(ada, count=3), **CREDIT)

    with pytest.raises(IdempotencyKeyReused):
        issue_assets.issue_in_pool(ada, pool.pk, count=4, request=order(ada, count=4), **CREDIT)

    assert pool.assets.count() == 3


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_a_count_out_of_bounds_issues_nothing(ada: User, open_pool: OpenPool, count: int) -> None:
    pool = open_pool()

    with pytest.raises(ValidationError, match="1 to 100000"):
        issue_assets.issue_in_pool(ada, pool.pk, count=count, request=order(ada), **CREDIT)

    assert pool.assets.count() == 0


def test_an_unknown_pool_is_not_found(ada: User) -> None:
    with pytest.raises(PoolNotFound):
        issue_assets.issue_in_pool(ada, uuid4(), count=1, request=order(ada), **CREDIT)


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_fails_takes_the_earlier_batches_with_it(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()
    good = [CashbackAsset(pool=pool, currency="INR", **CREDIT) for _ in range(issue_assets.BATCH_SIZE)]

    with pytest.raises(ValidationError, match="currency of its pool"):
        issue_assets.issue_assets([*good, CashbackAsset(pool=pool, currency="USD", **CREDIT)])

    assert CashbackAsset.objects.count() == 0


def test_iterator_is_rejected_by_issue_assets(db: None) -> None:
    with pytest.raises(TypeError, match="iterated twice"):
        issue_assets.issue_assets(iter([CashbackAsset(currency="INR", **CREDIT)]))

    assert CashbackAsset.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_same_order_at_once_from_ten_places_is_issued_once(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()

    outcomes = at_once(lambda _: issue_assets.issue_in_pool(ada, pool.pk, count=50, request=order(ada), **CREDIT), range(10))

    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 9  # type: ignore[union-attr]
    assert pool.assets.count() == 50
