"""Claims over HTTP: one credit by id, or one of a pool with a key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from tests.concurrency import at_once
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def of_asset(asset: CashbackAsset) -> str:
    return f"{ROOT}/assets/{asset.pk}/claim/"


def of_pool(pool: CreditPool) -> str:
    return f"{ROOT}/pools/{pool.pk}/claim/"


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def refused(answer: Any, status: int, code: str) -> None:
    """Assert the problem, and that no more than the claims counted by the test exist."""
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_credit_is_claimed(as_alice: Caller, alice: User, issue: Issue) -> None:
    asset = issue()

    answer = as_alice.post(of_asset(asset))

    entry = Entry.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(entry.pk),
        "asset": str(asset.pk),
        "title": "Welcome bonus",
        "amount": "100.00",
        "currency": "INR",
        "claimed_at": entry.claimed_at.isoformat().replace("+00:00", "Z"),
    }
    assert (entry.user, entry.actor, entry.request_key) == (alice, alice, None)


def test_repeated_claim_by_the_owner_returns_the_first_claim(as_alice: Caller, issue: Issue) -> None:
    asset = issue()

    first, second = (as_alice.post(of_asset(asset), {}) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.content == second.content
    assert Entry.objects.count() == 1


def test_claim_of_a_credit_of_another_user_is_refused(as_bob: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    claim_asset(asset.pk, alice)

    refused(as_bob.post(of_asset(asset)), 409, "asset_already_claimed")
    assert Entry.objects.get().user == alice


def test_claim_of_an_expired_credit_is_refused(as_alice: Caller, ada: User, issue: Issue) -> None:
    asset = issue()
    edit_asset.expire_asset(asset.pk, ada)

    refused(as_alice.post(of_asset(asset)), 409, "asset_expired")
    assert not Entry.objects.exists()


def test_claim_of_an_unknown_credit_is_not_found(as_alice: Caller) -> None:
    refused(as_alice.post(f"{ROOT}/assets/{uuid4()}/claim/"), 404, "not_found")


def test_pool_claim_gets_the_credit_that_expires_soonest(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool = open_pool()
    _, soon = issue(pool=pool), issue(pool=pool, title="Soon", expires_at=timezone.now() + timedelta(days=1))

    answer = as_alice.post(of_pool(pool), headers=key())

    assert (answer.status_code, answer.json()["asset"]) == (201, str(soon.pk))


def test_pool_claim_is_refused_with_the_reason(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    closed = open_pool(name="Later", opens_at=timezone.now() + timedelta(days=1))
    limited = open_pool(name="One each", per_user_limit=1)
    for pool in (closed, limited, limited):
        issue(pool=pool)
    as_alice.post(of_pool(limited), headers=key())

    refused(as_alice.post(of_pool(closed), headers=key()), 409, "pool_closed")
    refused(as_alice.post(of_pool(limited), headers=key()), 409, "claim_limit_reached")
    refused(as_alice.post(of_asset(closed.assets.get())), 409, "pool_closed")
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("body", [{"asset": "x"}, {"user": "bob"}, {"": 1}])
def test_claim_refuses_any_field(as_alice: Caller, issue: Issue, open_pool: OpenPool, body: dict[str, object]) -> None:
    pool, asset = open_pool(), issue()
    issue(pool=pool)

    for url in (of_pool(pool), of_asset(asset)):
        assert wrong_fields(as_alice.post(url, body, headers=key())) == [*body]
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [("application/x-www-form-urlencoded", 415, "unsupported_media_type"), ("text/plain", 415, "unsupported_media_type")],
)
def test_claim_refuses_other_media_types(as_alice: Caller, issue: Issue, content_type: str, status: int, code: str) -> None:
    refused(as_alice.post(of_asset(issue()), "a=b", content_type=content_type), status, code)
    assert not Entry.objects.exists()


def test_sixth_claim_within_a_minute_is_rate_limited(
    as_alice: Caller, as_bob: Caller, issue: Issue, open_pool: OpenPool, settings: Settings
) -> None:
    settings.RATES = settings.RATES | {"claim": "5/m"}
    pool = open_pool()
    for _ in range(8):
        issue(pool=pool)

    answers = [as_alice.post(of_pool(pool), headers=key()) for _ in range(5)]
    sixth, by_id, others = (
        as_alice.post(of_pool(pool), headers=key()),
        as_alice.post(of_asset(issue())),
        as_bob.post(of_pool(pool), headers=key()),
    )

    assert {answer.status_code for answer in answers} == {201}
    refused(sixth, 429, "rate_limited")
    refused(by_id, 429, "rate_limited")
    assert 1 <= int(sixth.headers["Retry-After"]) <= 60
    assert others.status_code == 201


def test_number_of_statements_per_claim(
    as_alice: Caller, issue: Issue, open_pool: OpenPool, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pool, asset, same = open_pool(), issue(), key()
    issue(pool=pool)

    with django_assert_num_queries(5):  # who; begin, lock, hand over with its entry, commit
        as_alice.post(of_asset(asset))
    with django_assert_num_queries(8):  # … and reserve the key, look for room, store the answer
        as_alice.post(of_pool(pool), headers=same)
    with django_assert_num_queries(5):  # who; begin, the key is taken, its answer, commit
        as_alice.post(of_pool(pool), headers=same)
    with django_assert_num_queries(8):  # who; begin, reserve the key, look for room, lock, look for more, roll back (2)
        assert as_alice.post(of_pool(pool), headers=key()).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_one_of_twenty_concurrent_claims_succeeds(by: Callable[[User], Caller], issue: Issue) -> None:
    asset = issue()
    callers = [by(User.objects.create_user(f"user{number}@example.com")) for number in range(20)]

    answers: list[Any] = at_once(lambda caller: caller.post(of_asset(asset)), callers)

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert Entry.objects.count() == 1
