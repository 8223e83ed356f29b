"""A hidden pool responds to claims as to reads: the pool and its credits do not exist."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from kernel.refusals import Refusal
from tests.security.conftest import as_caller
from wallet.actions import edit_pool
from wallet.actions.claim import asset_claim_batcher, claim_asset
from wallet.actions.claim_batch import BY_ASSET, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest, PoolClosed
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unlimited")]
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
ROOT = "/api/v1"
KEY = {"Idempotency-Key": "a-key-for-one-claim"}
run_asset_batch = partial(run_claim_batch, BY_ASSET)


def seen(answer: Any) -> tuple[int, str | None]:
    """Return the status, and the code of a problem."""
    return answer.status_code, answer.json().get("code")


def looked_at_and_claimed(user: User, path: str) -> list[tuple[int, str | None]]:
    caller = as_caller(user)
    return [seen(caller.get(f"{ROOT}/{path}/")), seen(caller.post(f"{ROOT}/{path}/claim/", headers=KEY))]


@pytest.fixture
def hidden(open_pool: OpenPool) -> CreditPool:
    return open_pool(is_active=False)


@pytest.fixture
def available(issue: Issue, hidden: CreditPool) -> CashbackAsset:
    return issue(pool=hidden)


@pytest.fixture
def expired(issue: Issue, hidden: CreditPool) -> CashbackAsset:
    asset = issue(pool=hidden)
    CashbackAsset.objects.filter(pk=asset.pk).update(status="EXPIRED")
    return asset


@pytest.fixture
def due(issue: Issue, hidden: CreditPool) -> CashbackAsset:
    asset = issue(pool=hidden)
    CashbackAsset.objects.filter(pk=asset.pk).update(expires_at=timezone.now())
    return asset


def test_hidden_pool_is_not_found_by_reads_or_claims(alice: User, issue: Issue, hidden: CreditPool) -> None:
    issue(pool=hidden)

    assert looked_at_and_claimed(alice, f"pools/{hidden.pk}") == [(404, "not_found")] * 2
    assert Entry.objects.count() == 0


def test_no_credit_of_a_hidden_pool_is_found_whatever_became_of_it(
    alice: User, available: CashbackAsset, expired: CashbackAsset, due: CashbackAsset
) -> None:
    for asset in (available, expired, due):
        assert looked_at_and_claimed(alice, f"assets/{asset.pk}") == [(404, "not_found")] * 2
    assert Entry.objects.count() == 0


@pytest.mark.parametrize(("name", "to_an_admin"), [("available", PoolClosed), ("expired", AssetExpired), ("due", PoolClosed)])
def test_individual_claim_gives_the_same_refusal(
    request: pytest.FixtureRequest, alice: User, ada: User, name: str, to_an_admin: type[Refusal]
) -> None:
    asset = request.getfixturevalue(name)

    with pytest.raises(AssetNotFound):
        asset_claim_batcher.run_one(ClaimRequest(asset.pk, alice))
    with pytest.raises(to_an_admin):
        asset_claim_batcher.run_one(ClaimRequest(asset.pk, ada))


def test_a_hidden_pools_credit_disturbs_no_neighbour(
    alice: User, ada: User, issue: Issue, available: CashbackAsset, expired: CashbackAsset
) -> None:
    wanted = [ClaimRequest(asset.pk, user) for asset in (available, expired) for user in (alice, ada)]

    outcomes = run_asset_batch([*wanted, ClaimRequest(issue().pk, alice)])

    names = [type(outcome).__name__ for outcome in outcomes]
    assert names == ["AssetNotFound", "PoolClosed", "AssetNotFound", "AssetExpired", "Claim"]


def test_admin_gets_pool_closed_for_a_hidden_pool(ada: User, issue: Issue, hidden: CreditPool) -> None:
    asset = issue(pool=hidden)

    assert looked_at_and_claimed(ada, f"pools/{hidden.pk}") == [(200, None), (409, "pool_closed")]
    assert looked_at_and_claimed(ada, f"assets/{asset.pk}") == [(200, None), (409, "pool_closed")]


@pytest.mark.parametrize("days", [(1, 2), (-2, -1)])
def test_a_pool_that_is_shown_says_that_it_is_closed(
    alice: User, issue: Issue, open_pool: OpenPool, days: tuple[int, int]
) -> None:
    opens, closes = (timezone.now() + timedelta(days=day) for day in days)
    pool = open_pool(opens_at=opens, closes_at=closes)
    asset = issue(pool=pool)

    assert looked_at_and_claimed(alice, f"pools/{pool.pk}") == [(200, None), (409, "pool_closed")]
    assert looked_at_and_claimed(alice, f"assets/{asset.pk}") == [(200, None), (409, "pool_closed")]
    with pytest.raises(PoolClosed):
        asset_claim_batcher.run_one(ClaimRequest(asset.pk, alice))


def test_claims_before_hiding_a_pool_are_unchanged(
    alice: User, bob: User, ada: User, issue: Issue, open_pool: OpenPool
) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    claim_asset(asset.pk, alice)
    edit_pool.update_pool(pool.pk, ada, is_active=False)

    assert looked_at_and_claimed(alice, f"assets/{asset.pk}") == [(200, None), (200, None)]
    # ADR 3: a claim that comes too late says so, whatever happened to the pool.
    assert looked_at_and_claimed(bob, f"assets/{asset.pk}") == [(404, "not_found"), (409, "asset_already_claimed")]


def test_the_pages_say_of_a_hidden_pool_that_nothing_is_on_offer(
    client: Client, alice: User, issue: Issue, hidden: CreditPool
) -> None:
    client.force_login(alice)
    asset = issue(pool=hidden)

    for path in (f"/pools/{hidden.pk}/claim/", f"/credits/{asset.pk}/claim/"):
        page = client.post(path, {"key": KEY["Idempotency-Key"]}, follow=True)
        assert "No longer available" in page.content.decode()
