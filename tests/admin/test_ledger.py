"""The section of the ledger."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.admin.conftest import seal_an_entry
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

LEDGER = reverse("admin:ledger_entry_changelist")


@pytest.fixture
def entry(issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], alice: User) -> Entry:
    claim_asset(issue(pool=open_pool(), title="Lamp").pk, alice)
    return Entry.objects.get()


@pytest.mark.parametrize("who", ["console", "root_client"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_ledger_refuses_every_write_even_from_superusers(
    request: pytest.FixtureRequest, entry: Entry, who: str, method: str
) -> None:
    browser = request.getfixturevalue(who)
    before = Entry.objects.filter(pk=entry.pk).values().get()
    forged = {"amount": "999", "post": "yes", "action": "delete_selected", "_selected_action": [str(entry.pk)]}
    pages = [reverse(f"admin:ledger_entry_{name}", args=[entry.pk]) for name in ("change", "delete")]

    for address in [LEDGER, reverse("admin:ledger_entry_add"), *pages]:
        options: dict[str, Any] = {} if method == "post" else {"content_type": "application/json"}
        assert getattr(browser, method)(address, forged, **options).status_code == 403, address

    assert Entry.objects.values().get() == before
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("page", ["add", "delete"])
def test_add_and_delete_pages_are_forbidden(root_client: Client, entry: Entry, page: str) -> None:
    arguments = [] if page == "add" else [entry.pk]

    assert root_client.get(reverse(f"admin:ledger_entry_{page}", args=arguments)).status_code == 403


def test_entry_page_is_read_only(console: Client, entry: Entry) -> None:
    page = console.get(reverse("admin:ledger_entry_change", args=[entry.pk])).content.decode()

    assert "100.00\N{NO-BREAK SPACE}INR" in page
    assert reverse("admin:assets_cashbackasset_change", args=[entry.asset_id]) in page
    assert 'name="_save"' not in page


def test_entries_and_seals_have_no_history_link(console: Client, entry: Entry) -> None:
    seal = seal_an_entry()

    for address in (reverse("admin:ledger_entry_change", args=[entry.pk]), reverse("admin:ledger_seal_change", args=[seal.pk])):
        assert "/history/" not in console.get(address).content.decode()


def test_list_links_to_the_credit_and_to_the_page_of_the_user(console: Client, entry: Entry) -> None:
    page = console.get(LEDGER).content.decode()

    assert reverse("admin:assets_cashbackasset_change", args=[entry.asset_id]) in page
    assert reverse("customer", args=[entry.user_id]) in page


def test_the_list_is_searched_and_filtered(console: Client, entry: Entry) -> None:
    day = f"{entry.claimed_at:%Y-%m-%d}"
    hits: list[dict[str, str]] = [
        {"q": "alice"},
        {"q": "lamp"},
        {"q": str(entry.pk)},
        {"q": str(entry.asset_id)},
        {"currency": "INR"},
        {"claimed_at_from": day, "claimed_at_to": day},
        {"pool": str(entry.asset.pool_id)},
    ]
    misses: list[dict[str, str]] = [{"q": "bob"}, {"currency": "EUR"}, {"claimed_at_to": "2020-01-01"}]

    for query in hits:
        assert list(console.get(LEDGER, query).context["cl"].result_list) == [entry], query
    for query in misses:
        assert list(console.get(LEDGER, query).context["cl"].result_list) == [], query
