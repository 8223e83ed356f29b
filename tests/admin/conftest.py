"""Browsers of operators, and helpers for the tests of the console."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.history import lifted
from tests.responses import ClientResponse
from wallet.actions import seal_ledger
from wallet.assets.models import CashbackAsset
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal


@pytest.fixture
def console(client: Client, ada: User) -> Client:
    """Ada's browser."""
    client.force_login(ada)
    return client


@pytest.fixture
def root_client(root: User) -> Client:
    """Root's browser."""
    browser = Client()
    browser.force_login(root)
    return browser


def message_texts(response: ClientResponse) -> list[str]:
    """Return the messages that the next page will show."""
    return [str(message) for message in get_messages(response.wsgi_request)]


CREDITS = reverse("admin:assets_cashbackasset_changelist")


@pytest.fixture
def choose(console: Client) -> Callable[..., Any]:
    """Select credits in the list, run an action, and confirm it."""

    def send(action: str, *chosen: CashbackAsset, confirmed: bool = True) -> Any:
        data: dict[str, Any] = {"action": action, "_selected_action": [str(asset.pk) for asset in chosen]}
        return console.post(CREDITS, data | ({"confirmed": "yes"} if confirmed else {"index": "0"}))

    return send


def state(asset: CashbackAsset) -> tuple[Any, ...]:
    """Return the whole row as it is stored."""
    return CashbackAsset.objects.filter(pk=asset.pk).values_list().get()


def seal_an_entry() -> Seal:
    """Seal the newest entry alone. The sealer itself would wait for the open transaction of the test."""
    last = Seal.objects.first()
    start = last.to_xid if last else 0
    (row,) = Entry.objects.order_by("-id").values_list(*signing.LEAF_COLUMNS)[:1]
    seal = seal_ledger.build_seal([row], last, start, max(start, row[-1]) + 1)
    with lifted("seal_follows", "ledger_seal"):
        seal.save(force_insert=True)
    return seal
