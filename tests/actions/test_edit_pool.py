"""Opening and changing pools."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from wallet.actions import edit_pool
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound

OpenPool = Callable[..., CreditPool]


def test_pool_is_open_from_now_on_by_default(open_pool: OpenPool) -> None:
    pool = CreditPool.objects.with_is_open().get(pk=open_pool().pk)

    assert pool.is_open
    assert (pool.per_user_limit, pool.closes_at, pool.is_active, pool.time_zone) == (None, None, True, "UTC")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", {"name": ""}),
        ("kind", {"kind": "LOTTERY"}),
        ("currency", {"currency": "XXX"}),
        ("per_user_limit", {"per_user_limit": 0}),
        ("per_user_limit", {"per_user_limit": -1}),
        ("per_user_limit", {"per_user_limit": 40_000}),
        ("time_zone", {"time_zone": "Mars/Olympus"}),
        ("closes_at", {"opens_at": timezone.now(), "closes_at": timezone.now() - timedelta(days=1)}),
    ],
)
def test_a_wrong_field_is_named_and_no_pool_opens(open_pool: OpenPool, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        open_pool(**wrong)

    assert list(error.value.message_dict) == [field]
    assert CreditPool.objects.count() == 0


def test_a_name_is_used_once(open_pool: OpenPool) -> None:
    open_pool(name="Diwali")

    with pytest.raises(ValidationError, match="with this name"):
        open_pool(name="Diwali")


def test_change_of_a_pool_is_recorded_with_its_actor(open_pool: OpenPool, ada: User) -> None:
    pool = edit_pool.update_pool(open_pool().pk, ada, per_user_limit=5)

    event = CreditPool.pgh_event_model.objects.get(pgh_label="update")  # type: ignore[attr-defined]
    assert pool.per_user_limit == event.per_user_limit == 5
    assert event.pgh_context.metadata == {
        "action": "update",
        "channel": "shell",
        "user": str(ada.pk),
        "email": "ada@example.com",
    }


def test_a_pool_with_credits_keeps_its_currency(open_pool: OpenPool, issue: Callable[..., CashbackAsset], ada: User) -> None:
    pool = open_pool()
    issue(pool=pool)

    with pytest.raises(ValidationError, match="keeps its currency"):
        edit_pool.update_pool(pool.pk, ada, currency="USD")

    pool.refresh_from_db()
    assert pool.currency == "INR"


def test_an_unknown_pool_is_not_found(ada: User) -> None:
    with pytest.raises(PoolNotFound):
        edit_pool.update_pool(uuid4(), ada, name="New")
