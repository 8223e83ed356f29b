"""Clients of the JSON API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from accounts import tokens
from accounts.models import User
from accounts.tokens import TokenPair
from tests.responses import ClientResponse

Send = Callable[..., Any]


@pytest.fixture
def post(client: Client) -> Send:
    """Post JSON below /api/v1/auth/, with an access token or without."""

    def send(path: str, body: Any, access: str | None = None, **headers: str) -> ClientResponse:
        bearer = {"Authorization": f"Bearer {access}"} if access else {}
        return client.post(f"/api/v1/auth/{path}", body, content_type="application/json", headers=bearer | headers)

    return send


@pytest.fixture
def me(client: Client) -> Callable[[str], Any]:
    """Call auth/me/ with an access token."""
    return lambda access: client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"})


@pytest.fixture
def pair(alice: User) -> TokenPair:
    """What alice holds after signing in."""
    return tokens.issue_pair(alice)


@pytest.fixture
def unlimited(settings: Settings) -> None:
    settings.RATES = dict.fromkeys(django_settings.RATES, "off")
