"""Claiming an asset by its id."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from kernel.transactions import Busy
from tests.concurrency import at_once
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import AssetAlreadyClaimed, PoolClosed
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest
from wallet.ledger.models import Entry

Issue = Callable[..., CashbackAsset]
Ask = Callable[..., IdempotentRequest]
MakeUsers = Callable[[int], list[User]]
Rows = Callable[[], list[Any]]


def test_a_claim_hands_the_asset_over_and_writes_one_entry(issue: Issue, alice: User) -> None:
    asset = issue(total_value=Decimal("49.50"))

    claim = claim_asset(asset.pk, alice)

    asset.refresh_from_db()
    entry = Entry.objects.get()
    assert (asset.status, asset.claimed_by, asset.claimed_at) == ("CLAIMED", alice, entry.claimed_at)
    assert (entry.asset, entry.user, entry.actor, entry.amount, entry.currency) == (asset, alice, alice, Decimal("49.5"), "INR")
    assert claim == Claim(entry.receipt(), 201)
    assert claim.receipt["amount"] == "49.50"


def test_the_row_is_locked_before_it_is_written(issue: Issue, alice: User) -> None:
    asset = issue()

    with CaptureQueriesContext(connection) as queries:
        claim_asset(asset.pk, alice)

    lock, write = (query["sql"] for query in queries if "SAVEPOINT" not in query["sql"])
    assert "FOR NO KEY UPDATE" in lock
    assert "INSERT" not in lock
    assert write.startswith("UPDATE assets_cashbackasset")
    assert "INSERT INTO ledger_entry" in write


def test_its_owner_asking_again_gets_the_first_claim(issue: Issue, alice: User, everything: Rows) -> None:
    asset = issue()
    first = claim_asset(asset.pk, alice)
    before = everything()

    again = claim_asset(asset.pk, alice)

    assert again == Claim(first.receipt, 200)
    assert everything() == before


def test_other_user_gets_already_claimed(issue: Issue, alice: User, bob: User, everything: Rows) -> None:
    asset = issue()
    claim_asset(asset.pk, alice)
    before = everything()

    with pytest.raises(AssetAlreadyClaimed):
        claim_asset(asset.pk, bob)

    assert everything() == before


def test_an_unknown_id_is_not_found(alice: User) -> None:
    with pytest.raises(AssetNotFound):
        claim_asset(uuid4(), alice)


def test_an_expired_asset_is_refused(issue: Issue, alice: User, everything: Rows) -> None:
    asset = issue()
    CashbackAsset.objects.filter(pk=asset.pk).update(status="EXPIRED")
    before = everything()

    with pytest.raises(AssetExpired):
        claim_asset(asset.pk, alice)

    assert everything() == before


def test_a_due_asset_is_refused_before_any_sweep(issue: Issue, alice: User, everything: Rows) -> None:
    asset = issue()
    CashbackAsset.objects.filter(pk=asset.pk).update(expires_at=timezone.now())
    before = everything()

    with pytest.raises(AssetExpired):
        claim_asset(asset.pk, alice)

    assert everything() == before


def test_an_asset_of_a_closed_pool_is_refused(issue: Issue, open_pool: Callable[..., CreditPool], alice: User) -> None:
    asset = issue(pool=open_pool(opens_at=timezone.now() + timedelta(days=1)))

    with pytest.raises(PoolClosed):
        claim_asset(asset.pk, alice)


def test_repeated_claim_of_the_owner_with_a_key_is_replayed(issue: Issue, alice: User, ask: Ask) -> None:
    asset = issue()
    first = claim_asset(asset.pk, alice)
    request = ask(alice, asset.pk)

    again, repeated = (claim_asset(asset.pk, alice, request) for _ in range(2))

    assert [(each.status_code, each.replayed) for each in (first, again, repeated)] == [(201, False), (200, False), (200, True)]
    assert first.receipt == again.receipt == repeated.receipt


def test_repeated_claim_with_a_key_gets_the_first_response(issue: Issue, alice: User, ask: Ask) -> None:
    asset = issue()
    request = ask(alice, asset.pk)
    first = claim_asset(asset.pk, alice, request)

    again = claim_asset(asset.pk, alice, request)

    assert again == Claim(first.receipt, 201, replayed=True)


def test_a_key_of_another_request_is_refused(issue: Issue, alice: User, ask: Ask, everything: Rows) -> None:
    one, other = issue(), issue()
    claim_asset(one.pk, alice, ask(alice, one.pk, "one-key-for-two-things"))
    before = everything()

    with pytest.raises(IdempotencyKeyReused):
        claim_asset(other.pk, alice, ask(alice, other.pk, "one-key-for-two-things"))

    assert everything() == before


def test_a_key_is_refused_even_after_its_answer_was_forgotten(issue: Issue, alice: User, ask: Ask) -> None:
    one, other = issue(), issue()
    claim_asset(one.pk, alice, ask(alice, one.pk, "one-key-for-two-things"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_idempotencykey")

    with pytest.raises(IdempotencyKeyReused):
        claim_asset(other.pk, alice, ask(alice, other.pk, "one-key-for-two-things"))

    other.refresh_from_db()
    assert other.status == "AVAILABLE"


@pytest.mark.django_db(transaction=True)
def test_one_of_sixty_concurrent_users_gets_the_asset(issue: Issue, make_users: MakeUsers) -> None:
    asset = issue()

    outcomes = at_once(lambda user: claim_asset(asset.pk, user), make_users(60))

    assert sum(isinstance(outcome, Claim) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AssetAlreadyClaimed) for outcome in outcomes) == 59
    assert Entry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_user_at_once_from_forty_devices_gets_one_claim_and_the_same_answer(issue: Issue, alice: User) -> None:
    asset = issue()

    outcomes = at_once(lambda _: claim_asset(asset.pk, alice), range(40))

    assert sorted(outcome.status_code for outcome in outcomes) == [200] * 39 + [201]  # type: ignore[union-attr]
    assert len({str(outcome.receipt) for outcome in outcomes}) == 1  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_the_same_key_at_once_from_twenty_devices_makes_one_claim(issue: Issue, alice: User, ask: Ask) -> None:
    asset = issue()
    request = ask(alice, asset.pk)

    outcomes = at_once(lambda _: claim_asset(asset.pk, alice, request), range(20))

    assert sorted((o.status_code, o.replayed) for o in outcomes) == [(201, False)] + [(201, True)] * 19  # type: ignore[union-attr]
    assert Entry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_claim_that_waits_across_the_expiry_is_refused(
    issue: Issue, alice: User, elsewhere: psycopg.Connection[Any], ending: str
) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(seconds=0.8))
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR NO KEY UPDATE", [asset.pk])
    threading.Timer(1.2, getattr(elsewhere, ending)).start()
    started = time.monotonic()

    (outcome,) = at_once(lambda user: claim_asset(asset.pk, user), [alice])

    assert time.monotonic() - started > 1
    assert isinstance(outcome, AssetExpired)
    assert Entry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_holder_that_does_not_let_go_costs_no_more_than_the_lock_timeout(
    issue: Issue, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    asset = issue()
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [asset.pk])
    started = time.monotonic()

    (outcome,) = at_once(lambda user: claim_asset(asset.pk, user), [alice])

    assert isinstance(outcome, Busy)
    assert outcome.retry_after == 1
    assert 1.9 < time.monotonic() - started < 4


@pytest.mark.django_db(transaction=True)
def test_a_waiter_gets_the_credit_when_its_holder_rolls_back(
    issue: Issue, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    asset = issue()
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR NO KEY UPDATE", [asset.pk])
    threading.Timer(0.3, elsewhere.rollback).start()

    (outcome,) = at_once(lambda user: claim_asset(asset.pk, user), [alice])

    assert isinstance(outcome, Claim)
