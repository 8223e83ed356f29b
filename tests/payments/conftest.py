"""Callers of the payment API: services with keys, users and operators."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.service_keys import NewKey, create_key
from accounts.services import Scope, Service
from tests.api.conftest import ROOT, Caller, _no_rates, anonymous, as_ada, as_alice, as_bob, by  # noqa: F401  (fixtures)
from tests.money.conftest import credit, other_shop, shop  # noqa: F401  (fixtures)

PAYMENTS = f"{ROOT}/payments/"


def with_key(text: str) -> Caller:
    """Return a caller with this key."""
    caller = Caller()
    caller.credentials(HTTP_AUTHORIZATION=f"Api-Key {text}")
    return caller


@pytest.fixture
def new_key(shop: Service) -> Callable[..., NewKey]:  # noqa: F811
    """Make a key of the shop; with all scopes unless some are named."""

    def make(*scopes: str, service: Service | None = None, **fields: Any) -> NewKey:
        return create_key(service or shop, scopes or Scope.values, **fields)

    return make


@pytest.fixture
def as_shop(new_key: Callable[..., NewKey]) -> Caller:
    return with_key(new_key().text)


@pytest.fixture
def as_other_shop(new_key: Callable[..., NewKey], other_shop: Service) -> Caller:  # noqa: F811
    return with_key(new_key(service=other_shop).text)


def order(amount: str = "60.00", **fields: Any) -> dict[str, Any]:
    """Return the body of a payment of alice's; a hold unless something else is named."""
    named = {"user": "alice@example.com", "reference": f"order-{uuid4().hex[:8]}"}
    return named | {"currency": "INR", "amount": amount, "capture": False} | fields


def post(caller: Caller, path: str, body: Any = None, key: str | None = None) -> Any:
    """Send one request below /api/v1/, with an Idempotency-Key if one is given."""
    return caller.post(f"{ROOT}/{path}", {} if body is None else body, headers={"Idempotency-Key": key} if key else {})


def held(caller: Caller, amount: str = "60.00", **fields: Any) -> str:
    """Hold that much and return the payment's id."""
    answer = post(caller, "payments/", order(amount, **fields))
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def problem(answer: Any) -> tuple[int, str]:
    """Return status and code of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content
    return answer.status_code, answer.json()["code"]
