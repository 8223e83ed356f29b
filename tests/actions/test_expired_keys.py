"""Idempotency keys whose stored response was deleted after seven days: the ledger still has the claim."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import BY_ASSET, FROM_POOL, Claim, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import idempotency, key_ring
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, IdempotencyKey

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
Ask = Callable[..., IdempotentRequest]
KEY = "a-key-of-some-days-ago"
run_asset_batch = partial(run_claim_batch, BY_ASSET)
run_pool_batch = partial(run_claim_batch, FROM_POOL)


def asked(user: User, what: str, target: UUID, key: str = KEY) -> IdempotentRequest:
    return IdempotentRequest(user, "claim", key, fingerprint(what, target))


def let_days_pass() -> None:
    """Let two weeks pass: the keys of this week are then in the partition that is emptied."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE ledger_idempotencykey SET partition_number = {key_ring.NEXT_WEEK}")
    assert idempotency.forget_old_keys()


@pytest.fixture
def pool(open_pool: OpenPool, issue: Issue) -> CreditPool:
    found = open_pool()
    for _ in range(4):
        issue(pool=found)
    return found


@pytest.fixture
def first(pool: CreditPool, alice: User) -> Claim:
    """Return what alice claimed of the pool under KEY, more than seven days ago."""
    made = claim_from_pool(pool.pk, alice, asked(alice, "pool", pool.pk))
    let_days_pass()
    return made


def test_the_same_request_is_answered_from_the_ledger(pool: CreditPool, alice: User, first: Claim) -> None:
    for _ in range(2):
        again = claim_from_pool(pool.pk, alice, asked(alice, "pool", pool.pk))

        assert (again.receipt, again.status_code, again.replayed) == (first.receipt, 201, True)
    assert Entry.objects.count() == 1
    assert IdempotencyKey.objects.count() == 0


def test_the_same_request_for_one_credit_is_answered_from_the_ledger(issue: Issue, alice: User) -> None:
    asset = issue()
    first = claim_asset(asset.pk, alice, asked(alice, "asset", asset.pk))
    let_days_pass()

    again = claim_asset(asset.pk, alice, asked(alice, "asset", asset.pk))

    assert (again.receipt, again.status_code, again.replayed) == (first.receipt, 201, True)


def test_another_request_under_that_key_is_refused(
    issue: Issue, open_pool: OpenPool, alice: User, first: Claim, everything: Callable[[], list[Any]]
) -> None:
    other, single = open_pool(name="Other"), issue()
    issue(pool=other)
    before = everything()

    with pytest.raises(IdempotencyKeyReused):
        claim_from_pool(other.pk, alice, asked(alice, "pool", other.pk))
    with pytest.raises(IdempotencyKeyReused):
        claim_asset(single.pk, alice, asked(alice, "asset", single.pk))

    assert everything() == before


def test_the_key_is_another_users_to_use(pool: CreditPool, bob: User, first: Claim) -> None:
    made = claim_from_pool(pool.pk, bob, asked(bob, "pool", pool.pk))

    assert (made.status_code, made.replayed) == (201, False)
    assert made.receipt["id"] != first.receipt["id"]


def test_key_of_another_action_is_free(ada: User, pool: CreditPool) -> None:
    claim_from_pool(pool.pk, ada, asked(ada, "pool", pool.pk))
    let_days_pass()

    assert idempotency.reserve_keys([IdempotentRequest(ada, "issue", KEY, "f" * 64)]) == {(ada.pk, "issue", KEY)}


def test_neighbours_of_an_old_key_are_claimed_in_the_same_call(
    pool: CreditPool, alice: User, bob: User, ada: User, first: Claim
) -> None:
    wanted = [ClaimRequest(pool.pk, user, asked(user, "pool", pool.pk)) for user in (bob, alice, ada)]

    outcomes = run_pool_batch(wanted)

    assert [outcome.replayed for outcome in outcomes if isinstance(outcome, Claim)] == [False, True, False]
    assert outcomes[1].receipt == first.receipt  # type: ignore[union-attr]
    assert Entry.objects.count() == 3


def test_neighbours_of_an_old_key_that_is_refused_are_claimed_too(issue: Issue, alice: User, bob: User, first: Claim) -> None:
    single, other = issue(), issue()
    wanted = [
        ClaimRequest(single.pk, bob),
        ClaimRequest(other.pk, alice, asked(alice, "asset", other.pk)),
        ClaimRequest(other.pk, bob),
    ]

    outcomes = run_asset_batch(wanted)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Claim", "IdempotencyKeyReused", "Claim"]


def test_a_fresh_key_costs_no_further_statement(pool: CreditPool, alice: User, ask: Ask) -> None:
    """The look for an old key is made by the statement that reserves the new one."""
    claim_from_pool(pool.pk, alice, ask(alice, pool.pk))  # the first one reads what is cached afterwards

    with CaptureQueriesContext(connection) as sent:
        run_pool_batch([ClaimRequest(pool.pk, alice, ask(alice, pool.pk))])

    assert len([query for query in sent.captured_queries if "ledger_idempotencykey" in query["sql"]]) == 2  # reserved, stored
