"""Amounts of different currencies are not compared: lists sorted by value are grouped by currency."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

AMOUNTS = [(Decimal(9000), "JPY"), (Decimal(100), "USD"), (Decimal(5), "USD"), (Decimal(700), "INR"), (Decimal(20), "INR")]
GROUPED = ["20.00 INR", "700.00 INR", "9,000 JPY", "5.00 USD", "100.00 USD"]
DESCENDING = ["700.00 INR", "20.00 INR", "9,000 JPY", "100.00 USD", "5.00 USD"]


@pytest.fixture(autouse=True)
def _amounts(issue: Callable[..., CashbackAsset], alice: User, ada: User) -> None:
    for value, currency in AMOUNTS:
        credit = issue(total_value=value, currency=currency)
        edit_asset.update_asset(credit.pk, ada, title="Lamp")
        claim_asset(credit.pk, alice)


def sorted_by(browser: Client, section: str, column: str, direction: str = "") -> list[str]:
    """Return the amounts of a list in the order of its column, as the page shows them."""
    address = reverse(f"admin:{section}_changelist")
    listed = browser.get(address).context["cl"]
    place = listed.list_display.index(column)
    shown: Any = browser.get(address, {"o": f"{direction}{place}"}).context["cl"]
    return [getattr(shown.model_admin, column)(row).replace("\N{NO-BREAK SPACE}", " ") for row in shown.result_list]


@pytest.mark.parametrize(
    ("section", "column"),
    [
        ("assets_cashbackasset", "value"),
        ("ledger_claimedasset", "value"),
        ("ledger_entry", "value"),
        ("assets_issuance", "value_of_all"),
        ("assets_cashbackassetevent", "value"),
    ],
)
def test_list_sorted_by_value_is_grouped_by_currency(console: Client, section: str, column: str) -> None:
    assert sorted_by(console, section, column) == GROUPED
    assert sorted_by(console, section, column, "-") == DESCENDING


def test_file_is_ordered_like_the_list(console: Client) -> None:
    listed = console.get(reverse("admin:ledger_entry_changelist")).context["cl"].list_display.index("value")
    file: Any = console.get(reverse("admin:ledger_entry_export", args=["csv"]), {"o": f"-{listed}"})

    lines = b"".join(file.streaming_content).decode().splitlines()[1:]

    assert [" ".join(line.split(",")[3:5]) for line in lines] == [amount.replace(",", "") for amount in DESCENDING]


def test_owners_are_listed_by_currency(console: Client, issue: Callable[..., CashbackAsset], bob: User, alice: User) -> None:
    claim_asset(issue(total_value=Decimal(1), currency="INR").pk, bob)

    lines = console.get(reverse("admin:ledger_claimedasset_owners")).context["lines"]

    assert [(line["currency"], line["value"]) for line in lines] == [
        ("INR", "720.00"),
        ("INR", "1.00"),
        ("JPY", "9,000"),
        ("USD", "105.00"),
    ]
