"""Browsers of signed-in users, and helpers for the tests of the pages."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.money.conftest import credit, hold, shop, spend  # noqa: F401  (fixtures)
from tests.responses import ClientResponse


@pytest.fixture
def alice_client(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def bob_client(bob: User) -> Client:
    """Bob's browser."""
    browser = Client()
    browser.force_login(bob)
    return browser


@pytest.fixture
def unlimited(settings: Any) -> None:
    """No rate limits."""
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def shown_key(alice_client: Client) -> Callable[[], str]:
    """Open the offers as alice and return the key in the first pool's form."""

    def find() -> str:
        page = alice_client.get(reverse("offers")).content.decode()
        found = re.search(r'name="key" value="([^"]+)"', page)
        assert found, "no pool can be claimed"
        return found[1]

    return find


def message_texts(response: ClientResponse) -> list[str]:
    """Return the text of the messages that the next page will show, without links."""
    messages = get_messages(response.wsgi_request)
    return [" ".join(unescape(re.sub("<a .*?</a>|<[^>]+>", "", str(message))).split()) for message in messages]
