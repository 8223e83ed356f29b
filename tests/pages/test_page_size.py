"""Size of a full page with all its static files, uncompressed, for a browser with an empty cache."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.pages import page_parts
from wallet.pages.balance_chart import Balance, build_balance

MAX_BYTES = 100_000
LANGUAGES = pytest.mark.parametrize("language", ["en", "hi"])
Issue = Callable[..., CashbackAsset]


def page_bytes(browser: Client, address: str, language: str) -> int:
    """Return the size of a page with its stylesheet, scripts and icons."""
    page = browser.get(address, headers={"Accept-Language": language}).content.decode()
    files = {path.split("#")[0] for path in re.findall(r'(?:src|href)="/static/([^"]+)"', page)}
    assert "cashback/style.css" in files
    sent = [Path(str(finders.find(name))).read_bytes() for name in files]
    return len(page.encode()) + sum(len(file) for file in sent)


@pytest.fixture
def full_page(open_pool: Callable[..., CreditPool], issue: Issue) -> None:
    for number in range(12):
        pool = open_pool(name=f"A pool with a rather long name, number {number}", per_user_limit=3)
        for value in (10, 20):
            issue(pool=pool, title=f"A credit with quite a long title, number {number}", total_value=Decimal(value))


@LANGUAGES
@pytest.mark.parametrize("name", ["landing", "offers", "dashboard"])
def test_full_page_is_smaller_than_100_kb(alice_client: Client, full_page: None, name: str, language: str) -> None:
    assert page_bytes(alice_client, reverse(name), language) < MAX_BYTES


def balance_of_daily_claims(currency: str) -> Balance:
    """Return the balance of a user who claimed on every day of the chart."""
    days = [date.today() - timedelta(days=ago) for ago in range(90, -1, -1)]
    figures = dict.fromkeys(("balance", "available", "held", "pending", "ending_soon"), Decimal("112339.50"))
    rows = [SimpleNamespace(day=day, change=Decimal("1234.50")) for day in days]
    return build_balance({"currency": currency, "ending_at": datetime.now(UTC), **figures}, rows)


@LANGUAGES
def test_dashboard_with_three_currencies_is_smaller_than_100_kb(
    alice_client: Client, full_page: None, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setattr(
        page_parts, "balance_charts", lambda user: [balance_of_daily_claims(currency) for currency in ("EUR", "INR", "USD")]
    )

    assert page_bytes(alice_client, reverse("dashboard"), language) < MAX_BYTES


@LANGUAGES
def test_history_page_is_smaller_than_100_kb(
    alice_client: Client, alice: User, issue: Issue, unlimited: Any, language: str
) -> None:
    for number in range(21):
        claim_asset(issue(title=f"A credit with quite a long title, number {number}").pk, alice)

    assert page_bytes(alice_client, reverse("my_claims"), language) < MAX_BYTES
