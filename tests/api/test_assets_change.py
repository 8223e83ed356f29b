"""/assets/: changing, deleting, expiring and recreating single credits."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

ASSETS = f"{ROOT}/assets/"
Issue = Callable[..., CashbackAsset]


def test_admin_changes_an_available_credit(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    answer = as_ada.patch(f"{ASSETS}{asset.pk}/", {"total_value": "12.5", "expires_at": "2090-01-01T00:00:00+05:30"})

    asset.refresh_from_db()
    assert answer.status_code == 200
    assert (asset.title, asset.total_value) == ("Welcome bonus", Decimal("12.5"))
    assert (answer.json()["total_value"], answer.json()["expires_at"]) == ("12.50", "2089-12-31T18:30:00Z")


def test_expiry_can_be_removed(as_ada: Caller, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(days=1))

    assert as_ada.patch(f"{ASSETS}{asset.pk}/", {"expires_at": None}).json()["expires_at"] is None


@pytest.mark.parametrize("act", ["patch", "delete", "expire", "recreate"])
def test_a_claimed_credit_never_changes(as_ada: Caller, alice: User, issue: Issue, act: str) -> None:
    asset = issue()
    claim_asset(asset.pk, alice)
    before = CashbackAsset.objects.values().get()
    url = f"{ASSETS}{asset.pk}/"
    calls = {
        "patch": lambda: as_ada.patch(url, {"title": "Mine"}),
        "delete": lambda: as_ada.delete(url),
        "expire": lambda: as_ada.post(f"{url}expire/"),
        "recreate": lambda: as_ada.post(f"{url}recreate/"),
    }

    answer = calls[act]()

    code = "asset_not_expired" if act == "recreate" else "asset_not_available"
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert CashbackAsset.objects.values().get() == before


def test_an_unclaimed_credit_is_deleted(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    assert as_ada.delete(f"{ASSETS}{asset.pk}/").status_code == 204
    assert as_ada.get(f"{ASSETS}{asset.pk}/").status_code == 404


def test_a_credit_is_expired_once(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    first, second = (as_ada.post(f"{ASSETS}{asset.pk}/expire/", {}) for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, "EXPIRED")
    assert (second.status_code, second.json()["code"]) == (409, "asset_not_available")


def test_an_expired_credit_is_recreated_once_with_its_lineage(as_ada: Caller, ada: User, issue: Issue) -> None:
    parent = issue(title="Old", total_value=Decimal(7))
    edit_asset.expire_asset(parent.pk, ada)

    answer = as_ada.post(f"{ASSETS}{parent.pk}/recreate/", {"title": "New", "expires_at": "2090-03-31"})
    again = as_ada.post(f"{ASSETS}{parent.pk}/recreate/")

    child = answer.json()
    assert answer.status_code == 201
    assert (child["recreated_from"], child["generation"], child["status"]) == (str(parent.pk), 2, "AVAILABLE")
    assert (child["title"], child["total_value"], child["expires_at"]) == ("New", "7.00", "2090-04-01T00:00:00Z")
    assert (again.status_code, again.json()["code"]) == (409, "already_recreated")
    assert CashbackAsset.objects.count() == 2


def test_an_available_credit_is_not_recreated(as_ada: Caller, issue: Issue) -> None:
    answer = as_ada.post(f"{ASSETS}{issue().pk}/recreate/", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_expired")
    assert CashbackAsset.objects.count() == 1


@pytest.mark.parametrize(
    ("act", "body"), [("expire", {"now": True}), ("recreate", {"again": True}), ("claim", {"user": "bob"})]
)
def test_action_refuses_unknown_fields(as_ada: Caller, issue: Issue, act: str, body: dict[str, object]) -> None:
    assert wrong_fields(as_ada.post(f"{ASSETS}{issue().pk}/{act}/", body)) == [*body]


@pytest.mark.parametrize(
    ("call", "queries"),
    [
        (lambda ada, url: ada.get(url), 2),  # who asks, and the credit
        (lambda ada, url: ada.patch(url, {"title": "New"}), 6),  # who; begin, lock, look, write, commit
        (lambda ada, url: ada.delete(url), 7),
        (lambda ada, url: ada.post(f"{url}expire/"), 6),
    ],
)
def test_number_of_queries_per_call_on_one_credit(
    as_ada: Caller,
    issue: Issue,
    call: Callable[[Caller, str], object],
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    url = f"{ASSETS}{issue().pk}/"

    with django_assert_num_queries(queries):
        call(as_ada, url)
