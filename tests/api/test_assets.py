"""/assets/: reading, listing and filtering credits."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

ASSETS = f"{ROOT}/assets/"
Issue = Callable[..., CashbackAsset]


def test_a_user_sees_a_credit_without_its_owner(as_alice: Caller, issue: Issue) -> None:
    asset = issue()

    shown = as_alice.get(f"{ASSETS}{asset.pk}/").json()

    assert shown == {
        "id": str(asset.pk),
        "title": "Welcome bonus",
        "total_value": "100.00",
        "currency": "INR",
        "status": "AVAILABLE",
        "pool": None,
        "expires_at": None,
        "claimable_from": None,
        "claimed_by_me": False,
        "recreated_from": None,
        "generation": 1,
        "created_at": asset.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_admin_also_sees_the_owner_and_the_time_of_the_claim(as_ada: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    claim = claim_asset(asset.pk, alice)

    shown = as_ada.get(f"{ASSETS}{asset.pk}/").json()

    assert (shown["status"], shown["claimed_by_me"]) == ("CLAIMED", False)
    assert shown["claimed_by"] == {"id": str(alice.pk), "email": "alice@example.com"}
    assert shown["claimed_at"] == claim.receipt["claimed_at"]


def test_credit_claimed_by_another_user_is_hidden(as_alice: Caller, as_bob: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    claim_asset(asset.pk, alice)

    assert as_alice.get(f"{ASSETS}{asset.pk}/").json()["claimed_by_me"] is True
    assert as_bob.get(f"{ASSETS}{asset.pk}/").status_code == 404
    assert as_bob.get(ASSETS).json()["results"] == []
    assert len(as_alice.get(ASSETS).json()["results"]) == 1


def test_due_credit_is_shown_as_expired_before_any_sweep(as_alice: Caller, issue: Issue) -> None:
    due, fresh = issue(expires_at=timezone.now() + timedelta(milliseconds=60)), issue()
    time.sleep(0.1)

    def ids(status: str) -> list[str]:
        return [asset["id"] for asset in as_alice.get(ASSETS, {"status": status}).json()["results"]]

    assert as_alice.get(f"{ASSETS}{due.pk}/").json()["status"] == "EXPIRED"
    assert ids("EXPIRED") == [str(due.pk)]
    assert ids("AVAILABLE") == [str(fresh.pk)]
    assert ids("CLAIMED") == []


@pytest.fixture
def offered(issue: Issue, open_pool: Callable[..., CreditPool]) -> dict[str, CashbackAsset]:
    pool = open_pool(currency="KWD")
    return {
        "small": issue(title="Small 5% bonus", total_value=Decimal("5.00"), expires_at=timezone.now() + timedelta(days=1)),
        "large": issue(title="Large bonus", total_value=Decimal(500), expires_at=timezone.now() + timedelta(days=9)),
        "pooled": issue(title="In a pool", total_value=Decimal("1.250"), pool=pool),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"currency": "KWD"}, {"pooled"}),
        ({"min_value": "5", "currency": "INR"}, {"small", "large"}),
        ({"max_value": "5.00", "currency": "INR"}, {"small"}),
        ({"search": "BONUS"}, {"small", "large"}),
        ({"search": "5%"}, {"small"}),
        ({"search": "%"}, {"small"}),
        ({"search": "_"}, set()),
        ({"mine": "true"}, set()),
        ({"mine": "false"}, {"small", "large", "pooled"}),
    ],
)
def test_list_is_filtered(
    as_alice: Caller, offered: dict[str, CashbackAsset], query: dict[str, str], expected: set[str]
) -> None:
    found = {asset["id"] for asset in as_alice.get(ASSETS, query).json()["results"]}

    assert found == {str(offered[name].pk) for name in expected}


def test_list_is_filtered_by_pool_and_expiry(as_alice: Caller, offered: dict[str, CashbackAsset]) -> None:
    def titles(**query: str) -> set[str]:
        return {asset["title"] for asset in as_alice.get(ASSETS, query).json()["results"]}

    border = offered["large"].expires_at
    assert border
    assert titles(pool=str(offered["pooled"].pool_id)) == {"In a pool"}
    assert titles(expires_after=border.isoformat()) == {"Large bonus"}
    assert titles(expires_before=border.isoformat()) == {"Small 5% bonus"}
    assert titles(expires_before=(border + timedelta(days=1)).date().isoformat()) == {"Small 5% bonus", "Large bonus"}


def test_mine_filters_by_the_callers_claims(as_alice: Caller, alice: User, issue: Issue) -> None:
    mine, other = issue(), issue()
    claim_asset(mine.pk, alice)

    assert [asset["id"] for asset in as_alice.get(ASSETS, {"mine": "true"}).json()["results"]] == [str(mine.pk)]
    assert [asset["id"] for asset in as_alice.get(ASSETS, {"mine": "false"}).json()["results"]] == [str(other.pk)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "GONE"),
        ("status", "available"),
        ("status", ""),
        ("search", ""),
        ("page_size", ""),
        ("cursor", ""),
        ("format", ""),
        ("pool", "7"),
        ("currency", "XYZ"),
        ("currency", "inr"),
        ("currency", "%s%"),
        ("min_value", "1e3"),
        ("min_value", "NaN"),
        ("max_value", "Infinity"),
        ("max_value", "٣"),
        ("max_value", "1,5"),
        ("expires_before", "tomorrow"),
        ("expires_before", "2027-03-31T00:00:00"),
        ("expires_after", "2027-03-31T00:00:00 05:30"),
        ("expires_after", "2027-02-30"),
        ("expires_after", "0001-01-01T00:00:00+14:00"),
        ("expires_after", "9999-12-31T23:59:59-14:00"),
        ("mine", "yes"),
        ("mine", "2"),
        ("search", "a\x00b"),
        ("search", "a" * 201),
        ("ordering", "title"),
        ("ordering", "--expires_at"),
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "-1"),
        ("page_size", "ten"),
        ("page_size", "٣"),
        ("page_size", "1" * 5000),
        ("cursor", "cD0y"),
        ("cursor", "\x00"),
        ("claimed_by", "alice"),
        ("format", "xml"),
        ("title\x00", "a"),
    ],
)
def test_invalid_parameter_is_refused(as_alice: Caller, name: str, value: str) -> None:
    assert wrong_fields(as_alice.get(ASSETS, {name: value})) == [name]


def test_repeated_parameter_is_refused(as_alice: Caller) -> None:
    assert wrong_fields(as_alice.get(f"{ASSETS}?status=AVAILABLE&status=CLAIMED")) == ["status"]


def test_a_hundred_credits_cost_two_queries(
    as_alice: Caller, as_ada: Caller, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(100):
        issue()
    claim_asset(issue().pk, alice)

    for caller in (as_alice, as_ada):
        with django_assert_num_queries(2):  # who asks, and the page
            assert len(caller.get(ASSETS, {"page_size": 100}).json()["results"]) == 100


def test_credits_of_a_hidden_pool_are_hidden_too(
    as_alice: Caller, as_ada: Caller, issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool]
) -> None:
    asset = issue(pool=open_pool(is_active=False))

    assert as_alice.get(f"{ROOT}/assets/{asset.pk}/").status_code == 404
    assert as_alice.get(f"{ROOT}/assets/").json()["results"] == []
    assert as_ada.get(f"{ROOT}/assets/{asset.pk}/").status_code == 200
