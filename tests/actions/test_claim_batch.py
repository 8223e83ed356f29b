"""Claim batches: claims that share one transaction, each with an outcome of its own."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from kernel.batching import RetryIndividually
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import BY_ASSET, FROM_POOL, Claim, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest
from wallet.ledger.models import Entry, IdempotencyKey

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
Ask = Callable[..., IdempotentRequest]
Rows = Callable[[], list[Any]]
run_asset_batch = partial(run_claim_batch, BY_ASSET)
run_pool_batch = partial(run_claim_batch, FROM_POOL)


def names(outcomes: list[Any]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_batch_returns_each_claim_in_order(issue: Issue, alice: User, bob: User) -> None:
    one, other = issue(title="one"), issue(title="other")

    outcomes = run_asset_batch([ClaimRequest(one.pk, alice), ClaimRequest(other.pk, bob)])

    assert [outcome.receipt["title"] for outcome in outcomes if isinstance(outcome, Claim)] == ["one", "other"]
    assert set(Entry.objects.values_list("asset", "user")) == {(one.pk, alice.pk), (other.pk, bob.pk)}


def test_first_of_several_claims_of_one_asset_wins(issue: Issue, alice: User, bob: User, ada: User) -> None:
    asset = issue()

    outcomes = run_asset_batch([ClaimRequest(asset.pk, user) for user in (bob, alice, ada)])

    assert names(outcomes) == ["Claim", "AssetAlreadyClaimed", "AssetAlreadyClaimed"]
    assert Entry.objects.get().user == bob


def test_second_claim_of_one_user_retries_individually_and_gets_the_first_claim(issue: Issue, alice: User) -> None:
    asset = issue()

    outcomes = run_asset_batch([ClaimRequest(asset.pk, alice), ClaimRequest(asset.pk, alice)])

    assert names(outcomes) == ["Claim", "RetryIndividually"]
    assert claim_asset(asset.pk, alice).status_code == 200


def test_batch_does_not_wait_for_a_locked_asset(
    issue: Issue, alice: User, bob: User, elsewhere: psycopg.Connection[Any]
) -> None:
    held, free = issue(), issue()
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [held.pk])

    outcomes = run_asset_batch([ClaimRequest(held.pk, alice), ClaimRequest(free.pk, bob), ClaimRequest(uuid4(), bob)])

    assert names(outcomes) == ["RetryIndividually", "Claim", "RetryIndividually"]


def test_each_unavailable_asset_has_its_own_refusal(issue: Issue, alice: User, bob: User) -> None:
    claimed, ended, free = issue(), issue(), issue()
    claim_asset(claimed.pk, bob)
    CashbackAsset.objects.filter(pk=ended.pk).update(status="EXPIRED")

    outcomes = run_asset_batch(
        [ClaimRequest(asset.pk, alice) for asset in (claimed, ended, free)] + [ClaimRequest(claimed.pk, bob)]
    )

    assert names(outcomes) == ["AssetAlreadyClaimed", "AssetExpired", "Claim", "Claim"]
    assert [outcome.status_code for outcome in outcomes if isinstance(outcome, Claim)] == [201, 200]


def test_limit_refuses_one_claim_of_a_batch(issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask) -> None:
    pool = open_pool(per_user_limit=1)
    for _ in range(3):
        issue(pool=pool)

    outcomes = run_pool_batch([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, alice, bob)])

    assert names(outcomes) == ["Claim", "ClaimLimitReached", "Claim"]
    assert sorted(Entry.objects.values_list("user__email", flat=True)) == ["alice@example.com", "bob@example.com"]


def test_asset_of_a_refused_claim_is_assigned_within_the_batch(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool(per_user_limit=1)
    issue(pool=pool), issue(pool=pool)

    outcomes = run_pool_batch([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, alice, bob)])

    assert names(outcomes) == ["Claim", "PoolSoldOut", "Claim"]


def test_asset_refused_to_the_first_claim_goes_to_the_next(issue: Issue, open_pool: OpenPool, alice: User, bob: User) -> None:
    pool = open_pool(per_user_limit=1)
    mine, wanted = issue(pool=pool), issue(pool=pool)
    claim_asset(mine.pk, alice)

    outcomes = run_asset_batch([ClaimRequest(wanted.pk, alice), ClaimRequest(wanted.pk, bob)])

    assert names(outcomes) == ["ClaimLimitReached", "Claim"]


@pytest.fixture
def turn_of_alice(open_pool: OpenPool, alice: User, elsewhere: psycopg.Connection[Any]) -> CreditPool:
    """Return a pool in which another claim of Alice's is under way."""
    pool = open_pool(per_user_limit=2)
    elsewhere.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{pool.pk}{alice.pk}"])
    return pool


def test_claim_retries_individually_when_user_pool_lock_is_held(
    issue: Issue, turn_of_alice: CreditPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = turn_of_alice
    one, other, _ = issue(pool=pool), issue(pool=pool), issue(pool=pool)
    begun = time.monotonic()

    by_id = run_asset_batch([ClaimRequest(one.pk, alice), ClaimRequest(other.pk, bob)])
    by_pool = run_pool_batch([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, bob)])

    assert names(by_id) == names(by_pool) == ["RetryIndividually", "Claim"]
    assert time.monotonic() - begun < 1  # they are not waited for as a lone claim waits


def test_unserved_claim_does_not_count_towards_the_limit(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = open_pool(per_user_limit=1)
    held = issue(pool=pool)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [held.pk])

    outcomes = run_pool_batch(
        [ClaimRequest(pool.pk, alice, ask(alice, pool.pk, key)) for key in ("the-first-key-of-hers", "another-key-of-hers")]
    )

    assert names(outcomes) == ["RetryIndividually", "RetryIndividually"]


def test_claims_beyond_the_remaining_assets_are_sold_out(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool, empty = open_pool(name="one"), open_pool(name="other")
    issue(pool=pool)

    outcomes = run_pool_batch(
        [ClaimRequest(each.pk, user, ask(user, each.pk)) for each in (pool, empty) for user in (alice, bob)]
    )

    assert names(outcomes) == ["Claim", "PoolSoldOut", "PoolSoldOut", "PoolSoldOut"]


def test_closed_pool_refuses_only_its_own_claims(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    closed, opened = open_pool(name="closed", opens_at=timezone.now() + timedelta(days=1)), open_pool(name="open")
    shut, free = issue(pool=closed), issue(pool=opened)

    by_id = run_asset_batch([ClaimRequest(shut.pk, alice), ClaimRequest(free.pk, alice)])
    by_pool = run_pool_batch([ClaimRequest(each, alice, ask(alice, each)) for each in (closed.pk, opened.pk, uuid4())])

    assert names(by_id) == ["PoolClosed", "Claim"]
    assert names(by_pool) == ["PoolClosed", "PoolSoldOut", "PoolNotFound"]


def test_keys_of_refused_claims_are_released_and_others_kept(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool()
    issue(pool=pool)
    first, refused = ask(alice, pool.pk), ask(bob, pool.pk)

    outcomes = run_pool_batch([ClaimRequest(pool.pk, alice, first), ClaimRequest(pool.pk, bob, refused)])

    assert names(outcomes) == ["Claim", "PoolSoldOut"]
    assert list(IdempotencyKey.objects.values_list("key", "status_code")) == [(first.key, 201)]


def test_same_request_twice_in_a_batch_is_processed_once(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    pool = open_pool()
    issue(pool=pool), issue(pool=pool)
    request = ask(alice, pool.pk)

    outcomes = run_pool_batch([ClaimRequest(pool.pk, alice, request), ClaimRequest(pool.pk, alice, request)])

    assert names(outcomes) == ["Claim", "RetryIndividually"]
    again = claim_from_pool(pool.pk, alice, request)
    assert (again.replayed, again.receipt) == (True, outcomes[0].receipt)  # type: ignore[union-attr]
    assert Entry.objects.count() == 1


def test_key_of_another_request_is_refused_and_unchanged(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    one, other = open_pool(name="one"), open_pool(name="other")
    issue(pool=one), issue(pool=other)
    claim_from_pool(one.pk, alice, ask(alice, one.pk, "the-key-of-one-pool"))

    outcomes = run_pool_batch(
        [
            ClaimRequest(other.pk, alice, ask(alice, other.pk, "the-key-of-one-pool")),
            ClaimRequest(other.pk, bob, ask(bob, other.pk)),
        ]
    )

    assert names(outcomes) == [IdempotencyKeyReused.__name__, "Claim"]
    assert claim_from_pool(one.pk, alice, ask(alice, one.pk, "the-key-of-one-pool")).replayed


def test_batch_of_refusals_leaves_no_rows(open_pool: OpenPool, alice: User, bob: User, ask: Ask, everything: Rows) -> None:
    pool = open_pool()
    before = everything()

    with CaptureQueriesContext(connection) as sent:
        outcomes = run_pool_batch([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, bob)])

    assert names(outcomes) == ["PoolSoldOut", "PoolSoldOut"]
    assert everything() == before
    # Rolled back: no key is given back by a statement of its own, and nothing is committed.
    assert [query["sql"] for query in sent.captured_queries if "DELETE" in query["sql"]] == []
    assert sent.captured_queries[-1]["sql"] == "ROLLBACK"


def test_asset_that_expires_before_the_update_does_not_fail_the_batch(issue: Issue, alice: User, bob: User) -> None:
    ending = issue(expires_at=timezone.now() + timedelta(seconds=0.2))
    free = issue()

    # The expired asset violates a constraint, which fails the whole batch: each claim is retried individually.
    with pytest.raises(AssetExpired):
        while True:
            late = timezone.now() > ending.expires_at  # type: ignore[operator]
            run_asset_batch([ClaimRequest(ending.pk, alice), ClaimRequest(free.pk, bob)] if late else [])

    assert Entry.objects.count() == 0
    assert claim_asset(free.pk, bob).status_code == 201
    with pytest.raises(AssetExpired):
        claim_asset(ending.pk, alice)


def test_unknown_asset_retries_individually_and_is_not_found(alice: User) -> None:
    unknown = uuid4()

    assert isinstance(run_asset_batch([ClaimRequest(unknown, alice)])[0], RetryIndividually)
    with pytest.raises(AssetNotFound):
        claim_asset(unknown, alice)
