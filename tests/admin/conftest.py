"""Browsers of operators, and helpers for the tests of the console."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.history import lifted
from tests.money.conftest import credit, hold, other_shop, shop, spend  # noqa: F401  (fixtures)
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


class FormReader(HTMLParser):
    """Collects what a browser would send of the form with an id."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.inside, self.select, self.data = form_id, False, "", {}  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") == self.form_id
        if not self.inside:
            return
        name = given.get("name") or ""
        if tag == "select":
            self.select = name
        elif tag == "option" and "selected" in given:
            self.data[self.select] = given.get("value") or ""
        elif tag == "input" and name and is_sent(given):
            self.data[name] = given.get("value", "on" if given.get("type") == "checkbox" else "") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False


def is_sent(attrs: dict[str, str | None]) -> bool:
    """Return whether a browser sends the input without a click on it."""
    kind = attrs.get("type")
    return kind not in ("submit", "button", "file") and (kind not in ("checkbox", "radio") or "checked" in attrs)


def form_data(response: ClientResponse, form_id: str) -> dict[str, str]:
    """Return what a browser would send of a form, unchanged."""
    reader = FormReader(form_id)
    reader.feed(response.content.decode())
    assert reader.data, form_id
    return reader.data


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
