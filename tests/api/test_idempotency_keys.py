"""Idempotency-Key: a retried claim is made once and gets the same response."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import ROOT, Caller, wrong_fields
from tests.concurrency import at_once
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, IdempotencyKey

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


def test_credit_claim_with_a_key_is_replayed(as_alice: Caller, issue: Issue) -> None:
    asset, same = issue(), key()

    first, second = (as_alice.post(of_asset(asset), headers=same) for _ in range(2))

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert (first.status_code, second.headers["Idempotency-Replayed"]) == (201, "true")
    assert Entry.objects.get().request_key == same["Idempotency-Key"]


def test_claim_sent_twice_is_made_once_with_the_same_response(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool, same = open_pool(), key()
    for _ in range(3):
        issue(pool=pool)

    first, second = (as_alice.post(of_pool(pool), {}, headers=same) for _ in range(2))

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Entry.objects.count() == 1


def test_key_of_another_request_is_refused(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    here, there, same = open_pool(), open_pool(name="Other"), key()
    single = issue()
    for pool in (here, there):
        issue(pool=pool)
    as_alice.post(of_pool(here), headers=same)

    refused(as_alice.post(of_pool(there), headers=same), 422, "idempotency_key_reused")
    refused(as_alice.post(of_asset(single), headers=same), 422, "idempotency_key_reused")
    assert Entry.objects.count() == 1


def test_deleted_key_is_replayed_from_the_ledger(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool, other, same = open_pool(), open_pool(name="Other"), key()
    issue(pool=pool), issue(pool=pool), issue(pool=other)
    first = as_alice.post(of_pool(pool), headers=same)
    IdempotencyKey.objects.all().delete()

    again = as_alice.post(of_pool(pool), headers=same)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    refused(as_alice.post(of_pool(other), headers=same), 422, "idempotency_key_reused")
    assert Entry.objects.count() == 1


def test_two_users_may_use_the_same_key(as_alice: Caller, as_bob: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool, same = open_pool(), key()
    for _ in range(2):
        issue(pool=pool)

    answers = [caller.post(of_pool(pool), headers=same) for caller in (as_alice, as_bob)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_a_claim_from_a_pool_needs_a_key(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool = open_pool()
    issue(pool=pool)

    refused(as_alice.post(of_pool(pool)), 400, "idempotency_key_required")
    assert not Entry.objects.exists()


@pytest.mark.parametrize("bad", ["", "short", "a" * 15, "a" * 65, "a" * 15 + " b", "a" * 15 + "é", "a" * 16 + "/", "٣" * 16])
def test_malformed_key_is_refused(as_alice: Caller, issue: Issue, open_pool: OpenPool, bad: str) -> None:
    pool, asset = open_pool(), issue()
    issue(pool=pool)

    for url in (of_pool(pool), of_asset(asset)):
        assert wrong_fields(as_alice.post(url, headers={"Idempotency-Key": bad})) == ["Idempotency-Key"]
    assert not Entry.objects.exists()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("good", ["a" * 16, "Z" * 64, "0123456789_-abcdef", "8f14e45f-ceea-467f-a0e6-1ab8d1c2b3a4"])
def test_well_formed_key_is_accepted(as_alice: Caller, issue: Issue, open_pool: OpenPool, good: str) -> None:
    pool = open_pool()
    issue(pool=pool)

    assert as_alice.post(of_pool(pool), headers={"Idempotency-Key": good}).status_code == 201


def test_key_of_a_refused_request_can_be_reused(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool, same = open_pool(), key()

    refused(as_alice.post(of_pool(pool), headers=same), 409, "pool_sold_out")
    issue(pool=pool)
    assert as_alice.post(of_pool(pool), headers=same).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_ten_concurrent_requests_with_one_key_claim_once(as_alice: Caller, issue: Issue, open_pool: OpenPool) -> None:
    pool, same = open_pool(), key()
    for _ in range(10):
        issue(pool=pool)

    answers: list[Any] = at_once(lambda caller: caller.post(of_pool(pool), headers=same), [as_alice] * 10)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Entry.objects.count() == 1
