"""Callers of the API, each with their own token."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_pair

ROOT = "/api/v1"


class Caller(APIClient):
    """Sends JSON."""

    default_format = "json"


@pytest.fixture(autouse=True)
def _no_rates(settings: Settings) -> None:
    """What is counted here is claims, not tries."""
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def anonymous(db: None) -> Caller:
    return Caller()


@pytest.fixture
def by() -> Callable[[User], Caller]:
    """Return a caller signed in with an access token of this person."""

    def signed_in(user: User) -> Caller:
        caller = Caller()
        caller.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(user).access}")
        return caller

    return signed_in


@pytest.fixture
def as_alice(by: Callable[[User], Caller], alice: User) -> Caller:
    return by(alice)


@pytest.fixture
def as_bob(by: Callable[[User], Caller], bob: User) -> Caller:
    return by(bob)


@pytest.fixture
def as_ada(by: Callable[[User], Caller], ada: User) -> Caller:
    return by(ada)


def wrong_fields(response: Any) -> list[str]:
    """Return which fields a 400 names."""
    assert response.status_code == 400, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "invalid"
    return [error["field"] for error in response.json()["errors"]]
