"""How much a browser that never was here has to fetch: a page at its fullest, with all that it asks for, nothing compressed."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.pages import views
from wallet.pages.balance_chart import Balance, build_balance

MOST = 100_000
LANGUAGES = pytest.mark.parametrize("language", ["en", "hi"])
Issue = Callable[..., CashbackAsset]


def weight(browser: Client, address: str, language: str) -> int:
    """Return the bytes of a page with its style, scripts and drawings."""
    page = browser.get(address, headers={"Accept-Language": language}).content.decode()
    files = {path.split("#")[0] for path in re.findall(r'(?:src|href)="/static/([^"]+)"', page)}
    assert "cashback/style.css" in files
    sent = [Path(str(finders.find(name))).read_bytes() for name in files]
    return len(page.encode()) + sum(len(file) for file in sent)


@pytest.fixture
def full_shop(open_pool: Callable[..., CreditPool], issue: Issue) -> None:
    for number in range(12):
        pool = open_pool(name=f"A pool with a rather long name, number {number}", per_user_limit=3)
        for value in (10, 20):
            issue(pool=pool, title=f"A credit with quite a long title, number {number}", total_value=Decimal(value))


@LANGUAGES
@pytest.mark.parametrize("name", ["landing", "offers", "dashboard"])
def test_a_full_shop_weighs_less_than_a_hundred_kilobytes(alices: Client, full_shop: None, name: str, language: str) -> None:
    assert weight(alices, reverse(name), language) < MOST


def of_each_day(currency: str) -> Balance:
    """Return what somebody holds who claimed on every day that the chart has room for."""
    days = [date.today() - timedelta(days=ago) for ago in range(90, -1, -1)]
    return build_balance(currency, [{"day": day, "gained": Decimal("1234.50"), "claims": 1} for day in days])


@LANGUAGES
def test_a_wallet_of_three_currencies_weighs_no_more(
    alices: Client, full_shop: None, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setattr(views, "balance_charts", lambda user: [of_each_day(currency) for currency in ("EUR", "INR", "USD")])

    assert weight(alices, reverse("dashboard"), language) < MOST


@LANGUAGES
def test_a_page_of_history_weighs_no_more(alices: Client, alice: User, issue: Issue, unlimited: Any, language: str) -> None:
    for number in range(21):
        claim_asset(issue(title=f"A credit with quite a long title, number {number}").pk, alice)

    assert weight(alices, reverse("my_claims"), language) < MOST
