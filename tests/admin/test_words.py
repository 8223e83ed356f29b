"""The words of the console: section names, filters and labels in plain English of the trade."""

from collections.abc import Callable

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from django.utils import translation

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

CREDITS = reverse("admin:assets_cashbackasset_changelist")


def test_sections_are_named_as_in_the_sidebar() -> None:
    with translation.override("en"):
        names = {name: str(apps.get_app_config(name).verbose_name) for name in ("assets", "ledger", "accounts")}

    assert names == {"assets": "Credits", "ledger": "Records", "accounts": "Users"}


@pytest.mark.parametrize(
    "section", ["assets_cashbackasset", "assets_creditpool", "ledger_entry", "ledger_seal", "assets_issuance"]
)
def test_filters_are_titled_without_by(console: Client, section: str) -> None:
    page = console.get(reverse(f"admin:{section}_changelist")).content.decode()

    assert "Apply filters" in page
    for wrong in ("Apply Filters", "> By ", " By status", " By pool", "expires at", "pgh"):
        assert wrong not in page


def test_date_filters_are_named_by_what_happened(console: Client) -> None:
    page = console.get(CREDITS).content.decode()

    for title in ("Expiry date", "Issue date", "Claim date"):
        assert title in page


def test_a_ledger_entry_has_the_labels_of_the_trade(console: Client, alice: User, issue: Callable[..., CashbackAsset]) -> None:
    claim_asset(issue().pk, alice)

    page = console.get(reverse("admin:ledger_entry_change", args=[Entry.objects.get().pk])).content.decode()

    for label in ("Requested by", "Idempotency key", "Transaction ID"):
        assert label in page
    assert "Xid" not in page


def test_a_credit_shows_its_status_in_words(console: Client, issue: Callable[..., CashbackAsset]) -> None:
    issue()

    page = console.get(CREDITS).content.decode()

    assert "Available" in page
    assert "AVAILABLE</" not in page
