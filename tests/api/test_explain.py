"""/pools/{id}/explain/ and /assets/{id}/explain/: why a person can claim, or cannot, rule by rule."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from tests.api.conftest import ROOT, Caller
from wallet.actions import edit_asset, edit_pool, pool_lifecycle
from wallet.actions.claim import claim_asset
from wallet.actions.claim_decisions import AssetAlreadyClaimed
from wallet.assets.models import CashbackAsset, CreditPool

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def pool(open_pool: OpenPool, issue: Issue) -> CreditPool:
    made = open_pool(per_user_limit=2)
    for _ in range(3):
        issue(pool=made)
    return made


def explained(caller: Caller, path: str) -> dict[str, Any]:
    answer = caller.get(f"{ROOT}/{path}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def broken(explanation: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rules that refuse, with their codes."""
    return [(rule["rule"], rule["refusal"]) for rule in explanation["rules"] if not rule["allows"]]


def figures(explanation: dict[str, Any], name: str) -> dict[str, Any]:
    (rule,) = [rule for rule in explanation["rules"] if rule["rule"] == name]
    return dict(rule["figures"])


def test_every_rule_is_shown_with_its_figures_when_a_claim_would_succeed(as_alice: Caller, pool: CreditPool) -> None:
    said = explained(as_alice, f"pools/{pool.pk}/explain/")

    assert (said["can_claim"], said["refusal"], broken(said)) == (True, None, [])
    assert [rule["rule"] for rule in said["rules"]] == [
        *("account_active", "pool_active", "open_to_claims", "pool_window", "credits_left", "per_user_limit", "period_limit"),
        "spendable",
    ]
    assert figures(said, "per_user_limit") == {"limit": 2, "claimed": 0}
    assert figures(said, "credits_left")["available"] == 3


def later() -> Any:
    return timezone.now() + timedelta(days=1)


REFUSALS: dict[str, Callable[[CreditPool, User, User], Any]] = {
    "pool_closed": lambda pool, ada, _alice: edit_pool.update_pool(pool.pk, ada, opens_at=later()),
    "pool_sold_out": lambda pool, ada, _alice: [edit_asset.expire_asset(each.pk, ada) for each in pool.assets.all()],
    "claim_limit_reached": lambda pool, _ada, alice: [claim_asset(each.pk, alice) for each in pool.assets.all()[:2]],
    "never_spendable": lambda pool, ada, _alice: edit_pool.update_pool(pool.pk, ada, pending_for="2 days", valid_until=later()),
}


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.django_db(transaction=True)
def test_the_explanation_names_the_code_with_which_a_claim_is_refused(
    as_alice: Caller, pool: CreditPool, ada: User, alice: User, code: str
) -> None:
    REFUSALS[code](pool, ada, alice)

    said = explained(as_alice, f"pools/{pool.pk}/explain/")
    claim = as_alice.post(f"{ROOT}/pools/{pool.pk}/claim/", headers={"Idempotency-Key": uuid4().hex})

    assert (said["can_claim"], said["refusal"], claim.json()["code"]) == (False, code, code)


def test_a_hidden_pool_is_not_explained_to_users(as_alice: Caller, as_ada: Caller, pool: CreditPool, ada: User) -> None:
    pool_lifecycle.pause_pool(pool.pk, ada)

    assert as_alice.get(f"{ROOT}/pools/{pool.pk}/explain/").status_code == 404
    said = explained(as_ada, f"pools/{pool.pk}/explain/?user=alice@example.com")
    assert said["refusal"] == "not_found"
    assert explained(as_ada, f"pools/{pool.pk}/explain/")["refusal"] == "pool_closed"


def test_an_unverified_email_is_named_where_it_must_be_verified(as_alice: Caller, pool: CreditPool, settings: Settings) -> None:
    settings.REQUIRE_VERIFIED_EMAIL = True

    assert broken(explained(as_alice, f"pools/{pool.pk}/explain/")) == [("email_verified", "email_not_verified")]


@pytest.mark.django_db(transaction=True)
def test_a_credit_is_explained_by_its_own_state_and_its_pool(
    as_alice: Caller, as_ada: Caller, bob: User, issue: Issue, pool: CreditPool
) -> None:
    free, taken, gone = issue(pool=pool), issue(), issue(pool=pool)
    claim_asset(taken.pk, bob)
    edit_asset.expire_asset(gone.pk, None)

    assert explained(as_alice, f"assets/{free.pk}/explain/")["can_claim"] is True
    said = explained(as_ada, f"assets/{taken.pk}/explain/?user=alice@example.com")
    assert broken(said) == [("not_claimed", "asset_already_claimed")]
    assert figures(said, "not_claimed") == {"status": "CLAIMED", "claimed_by_them": False}
    assert said["detail"] == AssetAlreadyClaimed.detail
    own = explained(as_ada, f"assets/{taken.pk}/explain/?user=bob@example.com")
    assert (own["can_claim"], own["refusal"]) == (False, "asset_already_claimed")
    assert own["detail"] == "This user has claimed this credit already."
    assert broken(explained(as_alice, f"assets/{gone.pk}/explain/")) == [("not_expired", "asset_expired")]


def test_only_an_operator_names_somebody_else(as_alice: Caller, as_ada: Caller, pool: CreditPool, bob: User) -> None:
    assert as_alice.get(f"{ROOT}/pools/{pool.pk}/explain/?user={bob.pk}").status_code == 400
    assert as_ada.get(f"{ROOT}/pools/{pool.pk}/explain/?user=nobody@example.com").status_code == 404
    assert as_ada.get(f"{ROOT}/pools/{pool.pk}/explain/?who={bob.pk}").status_code == 400
    assert explained(as_ada, f"pools/{pool.pk}/explain/?user=bob@example.com")["can_claim"] is True


def test_an_explanation_takes_few_queries(as_alice: Caller, pool: CreditPool, django_assert_num_queries: Any) -> None:
    explained(as_alice, f"pools/{pool.pk}/explain/")

    with django_assert_num_queries(4):  # the caller, the pool, its figures, the next credit
        explained(as_alice, f"pools/{pool.pk}/explain/")
