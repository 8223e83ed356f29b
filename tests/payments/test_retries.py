"""What a retry with the same key gets of the calls that ignore the key, as docs/integrate.md says."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Caller
from tests.payments.conftest import post, problem

pytestmark = pytest.mark.django_db
KEY = "a-key-of-one-intention"
PERSON = {"email": "new@example.com", "password": "a long enough passphrase"}


def twice(caller: Caller, path: str, body: Any) -> tuple[Any, Any]:
    """Send a request, and again with the same key; return both answers, of which the second is not replayed."""
    first, second = post(caller, path, body, KEY), post(caller, path, body, KEY)
    assert "Idempotency-Replayed" not in second
    return first, second


def test_registration_says_that_the_account_exists() -> None:
    first, second = twice(Caller(), "auth/register/", PERSON)

    assert first.status_code == 201
    assert problem(second) == (409, "email_taken")


def test_sign_in_begins_another_session() -> None:
    post(Caller(), "auth/register/", PERSON)

    first, second = twice(Caller(), "auth/token/", PERSON)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["refresh"] != second.json()["refresh"]


@pytest.mark.django_db(transaction=True)
def test_refresh_revokes_the_session() -> None:
    post(Caller(), "auth/register/", PERSON)
    pair = post(Caller(), "auth/token/", PERSON).json()

    first, second = twice(Caller(), "auth/token/refresh/", {"refresh": pair["refresh"]})

    assert first.status_code == 200
    assert problem(second) == (401, "token_reused")
    assert problem(post(Caller(), "auth/token/refresh/", {"refresh": first.json()["refresh"]}))[0] == 401


def test_webhook_says_that_its_url_is_taken(as_shop: Caller) -> None:
    first, second = twice(as_shop, "webhooks/", {"url": "https://shop.example/webhooks"})

    assert first.status_code == 201
    assert problem(second) == (400, "invalid")
    assert [(error["field"], error["code"]) for error in second.json()["errors"]] == [("url", "url_taken")]


def test_a_quote_of_all_or_nothing_covers_nothing_if_credit_is_missing(as_shop: Caller, credit: Callable[..., object]) -> None:
    credit("100")
    asked = {"user": "alice@example.com", "currency": "INR", "amount": "150.00"}

    quote = post(as_shop, "payments/quote/", asked).json()

    assert (quote["covered"], quote["missing"], quote["allocations"]) == ("0.00", "50.00", [])
