"""/pools/: reading, opening and changing pools, and issuing credits in one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

POOLS = f"{ROOT}/pools/"
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def test_user_sees_a_pool_with_its_supply_and_can_claim(
    as_alice: Caller, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(per_user_limit=1)
    first, _ = issue(pool=pool), issue(pool=pool)

    before = as_alice.get(f"{POOLS}{pool.pk}/").json()
    claim_asset(first.pk, alice)
    after = as_alice.get(f"{POOLS}{pool.pk}/").json()

    assert before == {
        "id": str(pool.pk),
        "name": "Diwali",
        "kind": "PROMOTION",
        "currency": "INR",
        "per_user_limit": 1,
        "period_limit": None,
        "limit_period": "DAY",
        "opens_at": pool.opens_at.isoformat().replace("+00:00", "Z"),
        "closes_at": None,
        "available": 2,
        "can_claim": True,
    }
    assert after == before | {"available": 1, "can_claim": False}


def test_inactive_pool_is_visible_to_admins_only(as_alice: Caller, as_ada: Caller, open_pool: OpenPool) -> None:
    pool = open_pool(is_active=False, time_zone="Asia/Kolkata")

    assert as_alice.get(POOLS).json()["results"] == []
    assert as_alice.get(f"{POOLS}{pool.pk}/").status_code == 404
    shown = as_ada.get(f"{POOLS}{pool.pk}/").json()
    assert (shown["is_active"], shown["time_zone"], shown["can_claim"]) == (False, "Asia/Kolkata", False)


def test_an_admin_opens_a_pool(as_ada: Caller) -> None:
    answer = as_ada.post(
        POOLS,
        {
            "name": "Spring",
            "kind": "SIGNUP",
            "currency": "KWD",
            "per_user_limit": 2,
            "opens_at": "2026-01-01T00:00:00+05:30",
            "closes_at": "2090-01-01T00:00:00Z",
            "time_zone": "Asia/Kuwait",
        },
    )

    pool = CreditPool.objects.get()
    assert answer.status_code == 201
    assert (pool.name, pool.kind, pool.currency, pool.per_user_limit, pool.time_zone, pool.is_active) == (
        "Spring",
        "SIGNUP",
        "KWD",
        2,
        "Asia/Kuwait",
        True,
    )
    assert pool.opens_at == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
    assert answer.json() == as_ada.get(f"{POOLS}{pool.pk}/").json()


def test_opens_at_defaults_to_now(as_ada: Caller) -> None:
    shown = as_ada.post(POOLS, {"name": "Spring", "kind": "SIGNUP", "currency": "INR"}).json()

    assert abs(datetime.fromisoformat(shown["opens_at"]) - timezone.now()) < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "Diwali"}, "name"),
        ({"kind": "GIFT"}, "kind"),
        ({"currency": "XYZ"}, "currency"),
        ({"per_user_limit": 0}, "per_user_limit"),
        ({"per_user_limit": 32_768}, "per_user_limit"),
        ({"per_user_limit": "many"}, "per_user_limit"),
        ({"per_user_limit": 1.5}, "per_user_limit"),
        ({"opens_at": "2090-01-01"}, "opens_at"),
        ({"opens_at": None}, "opens_at"),
        ({"closes_at": "2020-01-01T00:00:00Z"}, "closes_at"),
        ({"closes_at": "0001-01-01T00:00:00+14:00"}, "closes_at"),
        ({"is_active": "perhaps"}, "is_active"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"available": 3}, "available"),
    ],
)
def test_invalid_field_is_reported_and_no_pool_is_opened(
    as_ada: Caller, open_pool: OpenPool, changed: dict[str, object], field: str
) -> None:
    open_pool()

    answer = as_ada.post(POOLS, {"name": "Holi", "kind": "PROMOTION", "currency": "INR"} | changed)

    assert wrong_fields(answer) == [field]
    assert CreditPool.objects.count() == 1


def test_an_admin_changes_a_pool(as_ada: Caller, open_pool: OpenPool) -> None:
    pool = open_pool()

    answer = as_ada.patch(f"{POOLS}{pool.pk}/", {"per_user_limit": 3, "is_active": False})

    pool.refresh_from_db()
    assert answer.status_code == 200
    assert (answer.json()["per_user_limit"], answer.json()["is_active"]) == (3, False)
    assert (pool.name, pool.per_user_limit, pool.is_active) == ("Diwali", 3, False)


def test_a_pool_with_credits_keeps_its_currency(as_ada: Caller, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    issue(pool=pool)

    assert wrong_fields(as_ada.patch(f"{POOLS}{pool.pk}/", {"currency": "EUR"})) == ["currency"]
    pool.refresh_from_db()
    assert pool.currency == "INR"


def test_a_pool_is_never_deleted(as_ada: Caller, open_pool: OpenPool) -> None:
    answer = as_ada.delete(f"{POOLS}{open_pool().pk}/")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert CreditPool.objects.count() == 1


def test_an_admin_issues_many_equal_credits(as_ada: Caller, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    answer = as_ada.post(
        f"{POOLS}{pool.pk}/issue/",
        {"count": 1200, "title": "Bonus", "total_value": "2.50", "expires_at": "2090-03-31"},
        headers=key(),
    )

    batch = str(CashbackAsset.objects.latest("pk").batch_id)
    assert (answer.status_code, answer.json()) == (201, {"issued": 1200, "batch": batch})
    values = (
        CashbackAsset.objects.order_by().values_list("title", "total_value", "currency", "created_by", "expires_at").distinct()
    )
    assert [*values] == [("Bonus", Decimal("2.5"), "INR", ada.pk, datetime(2090, 3, 31, 18, 30, tzinfo=UTC))]
    assert CashbackAsset.objects.count() == 1200


def test_issuing_again_with_the_same_key_issues_nothing(as_ada: Caller, open_pool: OpenPool) -> None:
    url, body, same = f"{POOLS}{open_pool().pk}/issue/", {"count": 3, "title": "Bonus", "total_value": "1"}, key()

    first, second = (as_ada.post(url, body, headers=same) for _ in range(2))

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert CashbackAsset.objects.count() == 3


@pytest.mark.parametrize("changed", [{"count": 4}, {"title": "Other"}, {"total_value": "2"}, {"expires_at": "2090-01-01"}])
def test_issue_with_the_key_of_another_request_is_refused(
    as_ada: Caller, open_pool: OpenPool, changed: dict[str, object]
) -> None:
    url, body, same = f"{POOLS}{open_pool().pk}/issue/", {"count": 3, "title": "Bonus", "total_value": "1"}, key()
    as_ada.post(url, body, headers=same)

    answer = as_ada.post(url, body | changed, headers=same)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert CashbackAsset.objects.count() == 3


def test_issuing_needs_a_key(as_ada: Caller, open_pool: OpenPool) -> None:
    answer = as_ada.post(f"{POOLS}{open_pool().pk}/issue/", {"count": 3, "title": "Bonus", "total_value": "1"})

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"count": "1e3"}, "count"),
        ({"count": True}, "count"),
        ({"total_value": 1.5}, "total_value"),
        ({"total_value": "0.001"}, "total_value"),
        ({"title": " "}, "title"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"currency": "INR"}, "currency"),
    ],
)
def test_invalid_field_is_reported_and_nothing_is_issued(
    as_ada: Caller, open_pool: OpenPool, changed: dict[str, object], field: str
) -> None:
    body = {"count": 3, "title": "Bonus", "total_value": "1"} | changed

    answer = as_ada.post(f"{POOLS}{open_pool().pk}/issue/", body, headers=key())

    assert wrong_fields(answer) == [field]
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize("act", ["issue", "claim"])
def test_unknown_pool_is_not_found(as_ada: Caller, act: str) -> None:
    body = {"count": 1, "title": "Bonus", "total_value": "1"} if act == "issue" else {}

    assert as_ada.post(f"{POOLS}{uuid4()}/{act}/", body, headers=key()).status_code == 404
    assert as_ada.patch(f"{POOLS}{uuid4()}/", {}).status_code == 404


def test_a_hundred_pools_cost_two_queries(
    as_alice: Caller, open_pool: OpenPool, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(100):
        open_pool(name=f"Pool {number}")

    with django_assert_num_queries(2):  # who asks, and the page
        assert len(as_alice.get(POOLS, {"page_size": 100}).json()["results"]) == 100


def test_pools_refuse_unknown_parameters(as_alice: Caller) -> None:
    assert wrong_fields(as_alice.get(POOLS, {"kind": "SIGNUP"})) == ["kind"]
