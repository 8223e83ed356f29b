"""/batches/ and the batch of issued credits."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from tests.api.conftest import ROOT, Caller
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

pytestmark = pytest.mark.django_db


def issue(caller: Caller, pool: CreditPool, count: int, key: str | None = None) -> Any:
    body = {"count": count, "title": "Lamp", "total_value": "2.50"}
    return caller.post(f"{ROOT}/pools/{pool.pk}/issue/", body, headers={"Idempotency-Key": key or uuid4().hex})


def test_issuing_answers_with_the_batch_and_a_replay_with_the_same(
    as_ada: Caller, open_pool: Callable[..., CreditPool]
) -> None:
    pool, key = open_pool(), uuid4().hex

    first, again = issue(as_ada, pool, 3, key), issue(as_ada, pool, 3, key)

    assert first.json() == again.json() == {"issued": 3, "batch": str(CashbackAsset.objects.first().batch_id)}  # type: ignore[union-attr]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_single_issue_answers_with_its_batch_to_an_operator_only(as_ada: Caller, as_alice: Caller) -> None:
    made = as_ada.post(f"{ROOT}/assets/", {"title": "Tea", "total_value": "1", "currency": "INR"}).json()

    assert made["batch"] == str(CashbackAsset.objects.get().batch_id)
    assert "batch" not in as_alice.get(f"{ROOT}/assets/{made['id']}/").json()


def test_batch_shows_what_became_of_its_credits(as_ada: Caller, alice: User, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool()
    batch = issue(as_ada, pool, 4).json()["batch"]
    issue(as_ada, pool, 2)
    claim_asset(CashbackAsset.objects.filter(batch=batch).earliest("pk").pk, alice)

    found = as_ada.get(f"{ROOT}/batches/{batch}/").json()

    assert (found["title"], found["channel"], found["created_by"]["email"]) == ("Lamp", "api", "ada@example.com")
    assert found["totals"] == [{"currency": "INR", "count": 4, "value": "10.00"}]
    (line,) = found["lines"]
    assert line["available"] == {"count": 3, "value": "7.50"}
    assert line["claimed"] == {"count": 1, "value": "2.50"}
    assert line["issued"] == {"count": 4, "value": "10.00"}


def test_batches_are_listed_newest_first_by_cursor(as_ada: Caller, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool()
    made = [issue(as_ada, pool, 1).json()["batch"] for _ in range(3)]

    page = as_ada.get(f"{ROOT}/batches/", {"page_size": 2}).json()
    rest = as_ada.get(page["next"]).json()

    assert [line["id"] for line in page["results"] + rest["results"]] == made[::-1]


def test_assets_are_filtered_by_batch(as_ada: Caller, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool()
    batch = issue(as_ada, pool, 3).json()["batch"]
    issue(as_ada, pool, 2)

    listed = as_ada.get(f"{ROOT}/assets/", {"batch": batch}).json()["results"]

    assert [line["batch"] for line in listed] == [batch] * 3
    assert as_ada.get(f"{ROOT}/assets/", {"batch": str(uuid4())}).json()["results"] == []
    assert as_ada.get(f"{ROOT}/assets/", {"batch": "x"}).status_code == 400


def test_batch_is_found_by_its_id_in_upper_case(as_ada: Caller, open_pool: Callable[..., CreditPool]) -> None:
    batch = issue(as_ada, open_pool(), 1).json()["batch"]

    assert as_ada.get(f"{ROOT}/batches/{batch.upper()}/").json()["id"] == batch
