"""The download of one's data: everything of the person and nothing of anybody else, as a file."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import time_zones, tokens
from accounts.devices import Client as SignInClient
from accounts.models import User
from accounts.services import Service
from tests.conftest import PASSWORD
from tests.money.conftest import end_credit
from wallet.actions.claim import claim_asset
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db
API = "/api/v1/me/data/"


def content(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


@pytest.fixture
def headers(alice: User) -> dict[str, str]:
    pair = tokens.issue_pair(alice, SignInClient("192.0.2.7", "okhttp/4.12.0"))
    return {"Authorization": f"Bearer {pair.access}"}


def test_the_file_holds_profile_sign_ins_and_all_claims(
    *,
    client: Client,
    alice: User,
    bob: User,
    headers: dict[str, str],
    issue: Callable[..., CashbackAsset],
    open_pool: Callable[..., CreditPool],
) -> None:
    time_zones.change_time_zone(alice, "Asia/Kolkata")
    titles = [f"Bonus {number} “quoted”" for number in range(3)]
    for title in titles:
        claim_asset(issue(title=title, pool=open_pool(name=title)).pk, alice)
    claim_asset(issue(title="Bob's own").pk, bob)

    answer = client.get(API, headers=headers)
    text = content(answer)
    found = json.loads(text)

    assert answer["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert answer["Content-Type"] == "application/json"
    assert found["profile"]["email"] == alice.email
    assert found["profile"]["time_zone"] == "Asia/Kolkata"
    assert [claim["title"] for claim in found["claims"]] == titles[::-1]
    assert [claim["pool"] for claim in found["claims"]] == titles[::-1]
    assert [(item["kind"], item["address"]) for item in found["sign_ins"]] == [("app", "192.0.2.7")]
    for secret in ("bob", alice.password, headers["Authorization"].removeprefix("Bearer ")):
        assert secret.lower() not in text.lower()


@pytest.mark.django_db(transaction=True)
def test_the_file_holds_payments_and_what_else_became_of_credits(
    *,
    client: Client,
    bob: User,
    headers: dict[str, str],
    credit: Callable[..., Lot],
    spend: Callable[..., Answer],
    shop: Service,
) -> None:
    lot = credit("100")
    paid = spend("60").body
    refund_payment(UUID(paid["id"]), amount=Decimal(10), reference="back", reason="returned", service=shop)
    credit("5", bob)
    spend("5", bob)
    end_credit(lot)
    lapse_ended_credits()

    found = json.loads(content(client.get(API, headers=headers)))

    (payment,) = found["payments"]
    assert (payment["id"], payment["reference"], payment["captured"], payment["refunded"]) == (
        paid["id"],
        paid["reference"],
        "60.00",
        "10.00",
    )
    assert [movement["kind"] for movement in payment["movements"]] == ["SPEND", "REFUND"]
    (lapsed,) = found["credit_changes"]
    assert (lapsed["kind"], lapsed["claim"], lapsed["amount"]) == ("LAPSE", str(lot.pk), "50.00")


def test_the_page_sends_the_same_file(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert "/account/data/" in client.get("/account/").content.decode()
    found = json.loads(content(client.get("/account/data/")))

    assert (found["claims"], found["payments"], found["credit_changes"]) == ([], [], [])
    assert found["profile"]["id"] == str(alice.pk)


def test_files_are_limited_per_user(client: Client, bob: User, headers: dict[str, str], settings: Settings) -> None:
    settings.RATES = settings.RATES | {"personal_data": "2/d"}

    answers = [client.get(API, headers=headers).status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    other = {"Authorization": f"Bearer {tokens.sign_in(bob.email, PASSWORD).access}"}
    assert client.get(API, headers=other).status_code == 200


def test_claims_are_read_in_portions(
    client: Client, headers: dict[str, str], make_claims: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wallet.queries.personal_data.ROWS_PER_FETCH", 7)
    make_claims(30)

    assert len(json.loads(content(client.get(API, headers=headers)))["claims"]) == 30


@pytest.fixture
def make_claims(alice: User, issue: Callable[..., CashbackAsset]) -> Callable[[int], None]:
    """Let alice claim that many credits."""

    def make(count: int) -> None:
        for _ in range(count):
            claim_asset(issue().pk, alice)

    return make
