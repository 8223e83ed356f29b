"""/claims/ and /wallet/: entries, proofs and balances."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

CLAIMS = f"{ROOT}/claims/"
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def claimed(alice: User, bob: User, issue: Issue, open_pool: Callable[..., CreditPool]) -> dict[str, str]:
    """Return the ids of two claims of alice's and one of bob's, oldest first."""
    pool = open_pool()
    return {
        "first": claim_asset(issue(total_value=Decimal("0.10")).pk, alice).receipt["id"],
        "pooled": claim_asset(issue(pool=pool, total_value=Decimal("0.20")).pk, alice).receipt["id"],
        "bobs": claim_asset(issue(currency="JPY", total_value=Decimal(7)).pk, bob).receipt["id"],
    }


def ids(caller: Caller, **query: str) -> list[str]:
    return [claim["id"] for claim in caller.get(CLAIMS, query).json()["results"]]


def test_a_user_sees_their_own_claims_newest_first(as_alice: Caller, claimed: dict[str, str]) -> None:
    assert ids(as_alice) == [claimed["pooled"], claimed["first"]]


def test_claim_equals_its_receipt(as_alice: Caller, claimed: dict[str, str]) -> None:
    receipts = [entry.receipt() for entry in Entry.objects.filter(user__email="alice@example.com").newest_first()]

    assert as_alice.get(CLAIMS).json()["results"] == receipts
    assert as_alice.get(f"{CLAIMS}{claimed['pooled']}/").json() == receipts[0]


def test_admin_sees_all_claims_with_their_owners(as_ada: Caller, bob: User, claimed: dict[str, str]) -> None:
    newest = as_ada.get(CLAIMS).json()["results"][0]

    assert ids(as_ada) == [claimed["bobs"], claimed["pooled"], claimed["first"]]
    assert newest == Entry.objects.get(user=bob).receipt() | {"user": {"id": str(bob.pk), "email": "bob@example.com"}}


def test_claim_of_another_user_is_not_found(as_alice: Caller, as_ada: Caller, claimed: dict[str, str]) -> None:
    assert as_alice.get(f"{CLAIMS}{claimed['bobs']}/").status_code == 404
    assert as_alice.get(f"{CLAIMS}{uuid4()}/").status_code == 404
    assert as_ada.get(f"{CLAIMS}{claimed['bobs']}/").status_code == 200


def test_claims_are_filtered(as_ada: Caller, alice: User, claimed: dict[str, str]) -> None:
    pooled = Entry.objects.get(pk=claimed["pooled"])
    instant, pool = pooled.claimed_at.isoformat(), str(pooled.asset.pool_id)

    assert ids(as_ada, user=str(alice.pk)) == [claimed["pooled"], claimed["first"]] == ids(as_ada, user="Alice@Example.com")
    assert ids(as_ada, asset=str(pooled.asset_id)) == [claimed["pooled"]]
    assert ids(as_ada, pool=pool) == [claimed["pooled"]]
    assert ids(as_ada, **{"from": instant}) == [claimed["bobs"], claimed["pooled"]]
    assert ids(as_ada, to=instant) == [claimed["first"]]


def test_date_means_its_midnight_in_utc(as_ada: Caller, claimed: dict[str, str]) -> None:
    today = Entry.objects.newest_first()[0].claimed_at.date()

    assert len(ids(as_ada, **{"from": today.isoformat(), "to": (today + timedelta(days=1)).isoformat()})) == 3
    assert ids(as_ada, to=today.isoformat()) == []


def test_filter_by_user_does_not_reveal_claims_of_others(as_alice: Caller, bob: User, claimed: dict[str, str]) -> None:
    for name in (str(bob.pk), bob.email, str(uuid4()), "nobody@example.com"):
        assert wrong_fields(as_alice.get(CLAIMS, {"user": name})) == ["user"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("user", "x" * 255), ("asset", "1"), ("pool", "x"), ("from", "yesterday"), ("to", "2026-02-30"), ("currency", "INR")],
)
def test_invalid_parameter_is_refused(as_ada: Caller, name: str, value: str) -> None:
    assert wrong_fields(as_ada.get(CLAIMS, {name: value})) == [name]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_claims_are_read_only(as_ada: Caller, claimed: dict[str, str], method: str) -> None:
    before = [*Entry.objects.values()]

    assert getattr(as_ada, method)(f"{CLAIMS}{claimed['first']}/", {}).status_code == 405
    assert getattr(as_ada, method)(CLAIMS, {}).status_code == 405
    assert [*Entry.objects.values()] == before


def test_thirty_claims_cost_two_queries(
    as_alice: Caller, as_ada: Caller, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        claim_asset(issue().pk, alice)

    for caller in (as_alice, as_ada):
        with django_assert_num_queries(2):  # who asks, and the page
            assert len(ids(caller, page_size="100")) == 30


def test_a_wallet_holds_the_exact_sum_per_currency(as_alice: Caller, as_bob: Caller, claimed: dict[str, str]) -> None:
    def sums(caller: Caller) -> list[dict[str, Any]]:
        lines = caller.get(f"{ROOT}/wallet/").json()["balances"]
        return [{name: line[name] for name in ("currency", "balance", "claims")} for line in lines]

    assert sums(as_alice) == [{"currency": "INR", "balance": "0.30", "claims": 2}]
    assert sums(as_bob) == [{"currency": "JPY", "balance": "7", "claims": 1}]


def test_wallet_of_an_admin_has_only_own_claims(as_ada: Caller, claimed: dict[str, str]) -> None:
    assert as_ada.get(f"{ROOT}/wallet/").json() == {"balances": []}


def test_a_wallet_costs_two_queries(
    as_alice: Caller, claimed: dict[str, str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):  # who asks, and the sums
        as_alice.get(f"{ROOT}/wallet/")


def test_a_wallet_takes_no_parameters(as_alice: Caller) -> None:
    assert wrong_fields(as_alice.get(f"{ROOT}/wallet/", {"currency": "INR"})) == ["currency"]


def test_timestamps_are_in_utc(as_alice: Caller, claimed: dict[str, str]) -> None:
    written = as_alice.get(CLAIMS).json()["results"][0]["claimed_at"]

    assert written.endswith("Z")
    assert datetime.fromisoformat(written).utcoffset() == timedelta(0)


@pytest.mark.django_db(transaction=True)
def test_a_sealed_claim_has_a_proof_for_its_owner_and_an_admin_only(
    as_alice: Caller, as_bob: Caller, as_ada: Caller, claimed: dict[str, str]
) -> None:
    address = f"{CLAIMS}{claimed['first']}/proof/"
    assert wrong_code(as_alice.get(address)) == (409, "not_sealed_yet")
    seal_ledger.seal_all()

    proof = as_alice.get(address).json()

    assert json.loads(proof["leaf"])[0] == claimed["first"]
    assert proof["seal"]["count"] == 3
    assert as_ada.get(address).json() == proof
    assert as_bob.get(address).status_code == 404


def wrong_code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.django_db(transaction=True)
def test_a_proof_costs_three_queries(
    as_alice: Caller, claimed: dict[str, str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    seal_ledger.seal_all()

    with django_assert_num_queries(3):
        as_alice.get(f"{CLAIMS}{claimed['first']}/proof/")
