"""Claims that share one transaction: each with an outcome of its own, none at another's cost."""

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
of_assets = partial(run_claim_batch, BY_ASSET)
of_pools = partial(run_claim_batch, FROM_POOL)


def names(outcomes: list[Any]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_each_gets_what_it_wanted(issue: Issue, alice: User, bob: User) -> None:
    one, other = issue(title="one"), issue(title="other")

    outcomes = of_assets([ClaimRequest(one.pk, alice), ClaimRequest(other.pk, bob)])

    assert [outcome.receipt["title"] for outcome in outcomes if isinstance(outcome, Claim)] == ["one", "other"]
    assert set(Entry.objects.values_list("asset", "user")) == {(one.pk, alice.pk), (other.pk, bob.pk)}


def test_of_those_who_want_the_same_the_first_gets_it(issue: Issue, alice: User, bob: User, ada: User) -> None:
    asset = issue()

    outcomes = of_assets([ClaimRequest(asset.pk, user) for user in (bob, alice, ada)])

    assert names(outcomes) == ["Claim", "AssetAlreadyClaimed", "AssetAlreadyClaimed"]
    assert Entry.objects.get().user == bob


def test_a_user_who_asks_twice_hears_of_the_first_claim_alone(issue: Issue, alice: User) -> None:
    asset = issue()

    outcomes = of_assets([ClaimRequest(asset.pk, alice), ClaimRequest(asset.pk, alice)])

    assert names(outcomes) == ["Claim", "RetryIndividually"]
    assert claim_asset(asset.pk, alice).status_code == 200


def test_a_credit_that_somebody_holds_keeps_nobody_waiting(
    issue: Issue, alice: User, bob: User, elsewhere: psycopg.Connection[Any]
) -> None:
    held, free = issue(), issue()
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [held.pk])

    outcomes = of_assets([ClaimRequest(held.pk, alice), ClaimRequest(free.pk, bob), ClaimRequest(uuid4(), bob)])

    assert names(outcomes) == ["RetryIndividually", "Claim", "RetryIndividually"]


def test_what_is_gone_is_told_to_each_in_its_own_words(issue: Issue, alice: User, bob: User) -> None:
    claimed, ended, free = issue(), issue(), issue()
    claim_asset(claimed.pk, bob)
    CashbackAsset.objects.filter(pk=ended.pk).update(status="EXPIRED")

    outcomes = of_assets([ClaimRequest(asset.pk, alice) for asset in (claimed, ended, free)] + [ClaimRequest(claimed.pk, bob)])

    assert names(outcomes) == ["AssetAlreadyClaimed", "AssetExpired", "Claim", "Claim"]
    assert [outcome.status_code for outcome in outcomes if isinstance(outcome, Claim)] == [201, 200]


def test_a_limit_refuses_one_and_not_its_neighbours(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool(per_user_limit=1)
    for _ in range(3):
        issue(pool=pool)

    outcomes = of_pools([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, alice, bob)])

    assert names(outcomes) == ["Claim", "ClaimLimitReached", "Claim"]
    assert sorted(Entry.objects.values_list("user__email", flat=True)) == ["alice@example.com", "bob@example.com"]


def test_what_is_refused_to_one_is_there_for_a_neighbour(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool(per_user_limit=1)
    issue(pool=pool), issue(pool=pool)

    outcomes = of_pools([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, alice, bob)])

    assert names(outcomes) == ["Claim", "PoolSoldOut", "Claim"]


def test_a_credit_refused_to_the_first_is_the_next_ones(issue: Issue, open_pool: OpenPool, alice: User, bob: User) -> None:
    pool = open_pool(per_user_limit=1)
    mine, wanted = issue(pool=pool), issue(pool=pool)
    claim_asset(mine.pk, alice)

    outcomes = of_assets([ClaimRequest(wanted.pk, alice), ClaimRequest(wanted.pk, bob)])

    assert names(outcomes) == ["ClaimLimitReached", "Claim"]


@pytest.fixture
def turn_of_alice(open_pool: OpenPool, alice: User, elsewhere: psycopg.Connection[Any]) -> CreditPool:
    """Return a pool in which another claim of Alice's is under way."""
    pool = open_pool(per_user_limit=2)
    elsewhere.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{pool.pk}{alice.pk}"])
    return pool


def test_whose_turn_it_is_not_goes_alone_and_nobody_waits(
    issue: Issue, turn_of_alice: CreditPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = turn_of_alice
    one, other, _ = issue(pool=pool), issue(pool=pool), issue(pool=pool)
    begun = time.monotonic()

    by_id = of_assets([ClaimRequest(one.pk, alice), ClaimRequest(other.pk, bob)])
    by_pool = of_pools([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, bob)])

    assert names(by_id) == names(by_pool) == ["RetryIndividually", "Claim"]
    assert time.monotonic() - begun < 1  # they are not waited for as a lone claim waits


def test_nobody_is_at_the_limit_by_a_claim_that_is_still_to_be_made(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = open_pool(per_user_limit=1)
    held = issue(pool=pool)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [held.pk])

    outcomes = of_pools(
        [ClaimRequest(pool.pk, alice, ask(alice, pool.pk, key)) for key in ("the-first-key-of-hers", "another-key-of-hers")]
    )

    assert names(outcomes) == ["RetryIndividually", "RetryIndividually"]


def test_more_than_there_is_are_sold_out(issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask) -> None:
    pool, empty = open_pool(name="one"), open_pool(name="other")
    issue(pool=pool)

    outcomes = of_pools([ClaimRequest(each.pk, user, ask(user, each.pk)) for each in (pool, empty) for user in (alice, bob)])

    assert names(outcomes) == ["Claim", "PoolSoldOut", "PoolSoldOut", "PoolSoldOut"]


def test_a_closed_pool_refuses_its_own_only(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    closed, opened = open_pool(name="closed", opens_at=timezone.now() + timedelta(days=1)), open_pool(name="open")
    shut, free = issue(pool=closed), issue(pool=opened)

    by_id = of_assets([ClaimRequest(shut.pk, alice), ClaimRequest(free.pk, alice)])
    by_pool = of_pools([ClaimRequest(each, alice, ask(alice, each)) for each in (closed.pk, opened.pk, uuid4())])

    assert names(by_id) == ["PoolClosed", "Claim"]
    assert names(by_pool) == ["PoolClosed", "PoolSoldOut", "PoolNotFound"]


def test_a_refused_key_is_free_again_and_an_answered_one_is_kept(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool()
    issue(pool=pool)
    first, refused = ask(alice, pool.pk), ask(bob, pool.pk)

    outcomes = of_pools([ClaimRequest(pool.pk, alice, first), ClaimRequest(pool.pk, bob, refused)])

    assert names(outcomes) == ["Claim", "PoolSoldOut"]
    assert list(IdempotencyKey.objects.values_list("key", "status_code")) == [(first.key, 201)]


def test_the_same_request_twice_in_one_company_is_done_once(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    pool = open_pool()
    issue(pool=pool), issue(pool=pool)
    request = ask(alice, pool.pk)

    outcomes = of_pools([ClaimRequest(pool.pk, alice, request), ClaimRequest(pool.pk, alice, request)])

    assert names(outcomes) == ["Claim", "RetryIndividually"]
    again = claim_from_pool(pool.pk, alice, request)
    assert (again.replayed, again.receipt) == (True, outcomes[0].receipt)  # type: ignore[union-attr]
    assert Entry.objects.count() == 1


def test_a_key_of_another_request_is_refused_and_stays_the_others(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    one, other = open_pool(name="one"), open_pool(name="other")
    issue(pool=one), issue(pool=other)
    claim_from_pool(one.pk, alice, ask(alice, one.pk, "the-key-of-one-pool"))

    outcomes = of_pools(
        [
            ClaimRequest(other.pk, alice, ask(alice, other.pk, "the-key-of-one-pool")),
            ClaimRequest(other.pk, bob, ask(bob, other.pk)),
        ]
    )

    assert names(outcomes) == [IdempotencyKeyReused.__name__, "Claim"]
    assert claim_from_pool(one.pk, alice, ask(alice, one.pk, "the-key-of-one-pool")).replayed


def test_when_all_are_refused_nothing_stays(open_pool: OpenPool, alice: User, bob: User, ask: Ask, everything: Rows) -> None:
    pool = open_pool()
    before = everything()

    with CaptureQueriesContext(connection) as sent:
        outcomes = of_pools([ClaimRequest(pool.pk, user, ask(user, pool.pk)) for user in (alice, bob)])

    assert names(outcomes) == ["PoolSoldOut", "PoolSoldOut"]
    assert everything() == before
    # Rolled back: no key is given back by a statement of its own, and nothing is committed.
    assert [query["sql"] for query in sent.captured_queries if "DELETE" in query["sql"]] == []
    assert sent.captured_queries[-1]["sql"] == "ROLLBACK"


def test_one_that_ended_between_look_and_change_takes_nobody_along(issue: Issue, alice: User, bob: User) -> None:
    ending = issue(expires_at=timezone.now() + timedelta(seconds=0.2))
    free = issue()

    # The one that ends breaks a rule of the table, and the whole company with it: each is claimed alone.
    with pytest.raises(AssetExpired):
        while True:
            late = timezone.now() > ending.expires_at  # type: ignore[operator]
            of_assets([ClaimRequest(ending.pk, alice), ClaimRequest(free.pk, bob)] if late else [])

    assert Entry.objects.count() == 0
    assert claim_asset(free.pk, bob).status_code == 201
    with pytest.raises(AssetExpired):
        claim_asset(ending.pk, alice)


def test_an_unknown_credit_is_not_found_alone(alice: User) -> None:
    unknown = uuid4()

    assert isinstance(of_assets([ClaimRequest(unknown, alice)])[0], RetryIndividually)
    with pytest.raises(AssetNotFound):
        claim_asset(unknown, alice)
