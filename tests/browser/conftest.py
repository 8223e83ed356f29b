"""Debian's chromium in front of the real product."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.history import backdate
from wallet.actions import edit_asset, edit_pool, recreate_asset, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
PHONE = {"width": 390, "height": 844}
NARROW = {"width": 320, "height": 640}
DESKTOP = {"width": 1280, "height": 900}

Visit = Callable[..., Page]


@pytest.fixture(scope="session", autouse=True)
def _orm_beside_playwright() -> None:
    """Playwright runs a loop of its own in this thread, in which Django would refuse the database."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the chromium on PATH; playwright brings none along."""
    return browser_type_launch_args | {"executable_path": shutil.which("chromium"), "args": FLAGS}


@pytest.fixture
def complaints() -> list[str]:
    """What the browsers of a test complained of; a test that provokes a complaint takes it out."""
    return []


@pytest.fixture
def visit(
    browser: Browser, live_server: LiveServer, transactional_db: None, unlimited: None, complaints: list[str]
) -> Iterator[Visit]:
    """Open a browser of one's own at an address; whatever it complains of by the end fails the test."""
    contexts: list[BrowserContext] = []

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    def open_at(path: str = "/", **options: Any) -> Page:
        chosen = {"viewport": DESKTOP, "locale": "en-IN", "timezone_id": "Asia/Kolkata"} | options
        contexts.append(browser.new_context(base_url=live_server.url, **chosen))
        contexts[-1].set_default_timeout(5_000)
        page = contexts[-1].new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.goto(path)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def signed_in(visit: Visit) -> Callable[..., Page]:
    """Open a browser in which somebody is signed in already."""

    def open_as(user: User, path: str = "/offers/", **options: Any) -> Page:
        client = Client()
        client.force_login(user)
        page = visit("/healthz", **options)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": page.url}
        page.context.add_cookies([cookie])  # type: ignore[list-item]
        page.goto(path)
        return page

    return open_as


@pytest.fixture
def unlimited(settings: Any) -> None:
    """No rate limits."""
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def shop(
    *,
    unlimited: None,
    transactional_db: None,
    alice: User,
    ada: User,
    open_pool: Callable[..., CreditPool],
    issue: Callable[..., CashbackAsset],
) -> User:
    """A shop in full swing, in which alice has a history."""
    now = timezone.now()
    welcome = open_pool(name="Welcome bonus", kind="SIGNUP", per_user_limit=1)
    friends = open_pool(name="Refer a friend", kind="REFERRAL", per_user_limit=5)
    festive = open_pool(name="Festive cashback", closes_at=now + timedelta(days=40))
    open_pool(name="Republic Day", opens_at=now + timedelta(hours=30))
    summer = open_pool(name="Summer sale")
    open_pool(name="Monsoon cashback")
    edit_pool.update_pool(summer.pk, ada, opens_at=now - timedelta(days=9), closes_at=now - timedelta(days=2))

    def stock(pool: CreditPool | None, title: str, value: str, count: int, ends: timedelta | None = None, **more: Any) -> None:
        for _ in range(count):
            issue(pool=pool, title=title, total_value=Decimal(value), expires_at=now + ends if ends else None, **more)

    stock(welcome, "Welcome to your wallet", "100.00", 3, timedelta(days=90))
    stock(friends, "Thanks for inviting a friend", "250.00", 8, timedelta(days=180))
    stock(friends, "Your third friend joined", "1400.00", 2, timedelta(days=30))
    stock(festive, "Weekend grocery cashback", "49.50", 6, timedelta(hours=29, minutes=40))
    stock(festive, "Festival of lights", "75.00", 12, timedelta(days=21))
    stock(festive, "Metro recharge", "20.00", 4)
    stock(None, "Goodwill credit", "5.00", 1, timedelta(days=6), currency="USD")
    past = {
        "Welcome to your wallet": 74,
        "Thanks for inviting a friend": 61,
        "Weekend grocery cashback": 33,
        "Metro recharge": 18,
    }
    for title, days in (past | {"Your third friend joined": 9, "Festival of lights": 0}).items():
        claim = claim_asset(CashbackAsset.objects.claimable().filter(title=title)[0].pk, alice)
        backdate(claim, timedelta(days=days, hours=days % 7))
    seal_ledger.seal_all()
    claim_asset(CashbackAsset.objects.claimable().filter(title="Metro recharge")[0].pk, alice)
    return alice


@pytest.fixture
def office(shop: User, ada: User) -> None:
    """The same shop as its operators see it: something was changed, expired, recreated and deleted, and the clock is set up."""
    call_command("schedule_tasks", stdout=StringIO())
    credits = list(CashbackAsset.objects.claimable().filter(title="Thanks for inviting a friend").order_by("pk"))
    edit_asset.update_asset(credits[0].pk, ada, title="Thanks for inviting two friends", total_value=Decimal("300.00"))
    for credit in credits[1:4]:
        edit_asset.expire_asset(credit.pk, ada)
    recreate_asset.recreate_asset(credits[1].pk, ada)
    edit_asset.delete_asset(credits[4].pk, ada)
