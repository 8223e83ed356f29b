"""Claiming any asset of a pool."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from tests.concurrency import at_once
from wallet.actions import edit_pool
from wallet.actions.claim import claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import AllInFlight, ClaimLimitReached, PoolClosed, PoolSoldOut
from wallet.actions.issue_assets import issue_many
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, RequestInProgress
from wallet.ledger.models import Entry, IdempotencyKey

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
Ask = Callable[..., IdempotentRequest]
MakeUsers = Callable[[int], list[User]]
Rows = Callable[[], list[Any]]


def any_of(pool: CreditPool, ask: Ask) -> Callable[[User], Claim]:
    """Return a function that claims from the pool with a new key."""
    return lambda user: claim_from_pool(pool.pk, user, ask(user, pool.pk))


def names(outcomes: list[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def test_soonest_expiring_asset_is_claimed_first(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    pool, soon = open_pool(), timezone.now() + timedelta(days=1)
    issue(pool=pool, title="for ever")
    issue(pool=pool, title="later", expires_at=soon + timedelta(days=1))
    issue(pool=pool, title="soon", expires_at=soon)

    titles = [claim_from_pool(pool.pk, alice, ask(alice, pool.pk)).receipt["title"] for _ in range(3)]

    assert titles == ["soon", "later", "for ever"]


def test_an_empty_pool_is_sold_out_and_the_key_stays_free(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask) -> None:
    pool = open_pool()
    request = ask(alice, pool.pk)
    with pytest.raises(PoolSoldOut):
        claim_from_pool(pool.pk, alice, request)
    issue(pool=pool)

    claim = claim_from_pool(pool.pk, alice, request)

    assert (claim.status_code, claim.replayed) == (201, False)


def test_due_assets_are_not_claimable(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, everything: Rows) -> None:
    pool = open_pool()
    CashbackAsset.objects.filter(pk=issue(pool=pool).pk).update(expires_at=timezone.now())
    before = everything()

    with pytest.raises(PoolSoldOut):
        claim_from_pool(pool.pk, alice, ask(alice, pool.pk))

    assert everything() == before


@pytest.mark.parametrize(
    "window",
    [
        {"opens_at": timezone.now() + timedelta(days=1)},
        {"opens_at": timezone.now() - timedelta(days=2), "closes_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_a_pool_outside_its_window_is_closed(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, window: dict[str, Any]
) -> None:
    pool = open_pool(**window)
    issue(pool=pool)

    with pytest.raises(PoolClosed):
        claim_from_pool(pool.pk, alice, ask(alice, pool.pk))

    assert Entry.objects.count() == 0


def test_an_unknown_pool_is_not_found(alice: User, ask: Ask) -> None:
    with pytest.raises(PoolNotFound):
        claim_from_pool(uuid4(), alice, ask(alice, uuid4()))


def test_a_lost_answer_is_given_again(issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, everything: Rows) -> None:
    pool = open_pool()
    issue(pool=pool), issue(pool=pool)
    request = ask(alice, pool.pk)
    first = claim_from_pool(pool.pk, alice, request)
    before = everything()

    again = claim_from_pool(pool.pk, alice, request)

    assert again == Claim(first.receipt, 201, replayed=True)
    assert list(again.receipt) == list(first.receipt)
    assert everything() == before


def test_the_same_key_for_another_pool_is_refused(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, everything: Rows
) -> None:
    one, other = open_pool(name="one"), open_pool(name="other")
    issue(pool=one), issue(pool=other)
    claim_from_pool(one.pk, alice, ask(alice, one.pk, "a-key-of-one-pool"))
    before = everything()

    with pytest.raises(IdempotencyKeyReused):
        claim_from_pool(other.pk, alice, ask(alice, other.pk, "a-key-of-one-pool"))

    assert everything() == before


def test_two_users_may_use_the_same_key(issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask) -> None:
    pool = open_pool()
    issue(pool=pool), issue(pool=pool)

    both = [claim_from_pool(pool.pk, user, ask(user, pool.pk, "the-very-same-key")) for user in (alice, bob)]

    assert both[0].receipt["id"] != both[1].receipt["id"]


def test_the_limit_of_a_pool_is_the_users_not_the_pools(
    issue: Issue, open_pool: OpenPool, alice: User, bob: User, ask: Ask
) -> None:
    pool = open_pool(per_user_limit=1)
    for _ in range(3):
        issue(pool=pool)
    claim_from_pool(pool.pk, alice, ask(alice, pool.pk))
    with pytest.raises(ClaimLimitReached):
        claim_from_pool(pool.pk, alice, ask(alice, pool.pk))

    claim = claim_from_pool(pool.pk, bob, ask(bob, pool.pk))

    assert claim.status_code == 201


def test_a_limit_set_later_counts_what_was_claimed_before(
    issue: Issue, open_pool: OpenPool, ada: User, alice: User, ask: Ask
) -> None:
    pool = open_pool()
    for _ in range(3):
        issue(pool=pool)
    for _ in range(2):
        claim_from_pool(pool.pk, alice, ask(alice, pool.pk))
    edit_pool.update_pool(pool.pk, ada, per_user_limit=2)

    with pytest.raises(ClaimLimitReached):
        claim_from_pool(pool.pk, alice, ask(alice, pool.pk))


@pytest.mark.django_db(transaction=True)
def test_concurrent_claims_take_every_asset_of_a_pool_once(
    ada: User, open_pool: OpenPool, make_users: MakeUsers, ask: Ask
) -> None:
    pool = open_pool()
    issue_many(ada, pool, count=100, title="Cashback", total_value=Decimal(5))
    users = make_users(40)

    def take_three(user: User) -> list[Any]:
        return [attempt(user) for _ in range(3)]

    def attempt(user: User) -> Any:
        try:
            return any_of(pool, ask)(user)
        except PoolSoldOut as refusal:
            return refusal

    outcomes = [outcome for three in at_once(take_three, users) for outcome in three]  # type: ignore[union-attr]

    assert names(outcomes) == {"Claim": 100, "PoolSoldOut": 20}
    assert Entry.objects.values("asset").distinct().count() == 100
    assert not CashbackAsset.objects.filter(status="AVAILABLE").exists()


@pytest.mark.django_db(transaction=True)
def test_a_limit_holds_under_two_hundred_parallel_requests_of_one_user(
    ada: User, open_pool: OpenPool, alice: User, ask: Ask
) -> None:
    pool = open_pool(per_user_limit=3)
    issue_many(ada, pool, count=250, title="Cashback", total_value=Decimal(5))

    outcomes = at_once(any_of(pool, ask), [alice] * 200)

    assert names(outcomes) == {"Claim": 3, "ClaimLimitReached": 197}
    assert list(CashbackAsset.objects.filter(claimed_by=alice).order_by("claim_slot").values_list("claim_slot", flat=True)) == [
        1,
        2,
        3,
    ]


@pytest.mark.django_db(transaction=True)
def test_while_the_last_credit_is_in_anothers_claim_the_pool_is_busy_not_sold_out(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR NO KEY UPDATE", [asset.pk])
    (while_held,) = at_once(any_of(pool, ask), [alice])
    elsewhere.rollback()

    afterwards = any_of(pool, ask)(alice)

    assert isinstance(while_held, AllInFlight)
    assert afterwards.receipt["asset"] == str(asset.pk)


@pytest.mark.django_db(transaction=True)
def test_request_in_progress_is_refused(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = open_pool()
    issue(pool=pool)
    request = ask(alice, pool.pk)
    elsewhere.execute(
        "INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint) VALUES (%s, %s, %s, %s)",
        [alice.pk, request.route, request.key, request.fingerprint],
    )

    (outcome,) = at_once(lambda user: claim_from_pool(pool.pk, user, request), [alice])

    assert isinstance(outcome, RequestInProgress)
    assert Entry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_response_deleted_during_a_claim_causes_a_retry(
    issue: Issue, open_pool: OpenPool, alice: User, ask: Ask, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = open_pool()
    issue(pool=pool)
    request = ask(alice, pool.pk)
    IdempotencyKey.objects.create(user=alice, route="claim", key=request.key, fingerprint=request.fingerprint, body="{}")

    def forget(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "INSERT INTO ledger_idempotencykey" in sql:
            elsewhere.execute("DELETE FROM ledger_idempotencykey")
            elsewhere.commit()
        return result

    with connection.execute_wrapper(forget):
        claim = claim_from_pool(pool.pk, alice, request)

    assert (claim.status_code, claim.replayed) == (201, False)
