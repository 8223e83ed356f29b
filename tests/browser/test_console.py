"""The operators' console in a real browser: the whole way of an operator, and every page for everybody."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import DESKTOP, NARROW, Visit
from tests.browser.console import CREDITS, every_page, run, sent, settled
from tests.browser.test_walks import NEVER_WIDER
from tests.conftest import PASSWORD
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def wrong_in(page: Page) -> list[Any]:
    """Return what axe finds on a page; no rule is left out."""
    violations = Axe().run(page).response["violations"]
    return [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]


def put_in(page: Page, scheme: Any) -> None:
    """Put a page in light or dark as the theme does, which asks the browser only once, when a page is loaded."""
    page.emulate_media(color_scheme=scheme)
    page.evaluate("scheme => document.documentElement.classList.toggle('dark', scheme === 'dark')", scheme)
    page.wait_for_function("!document.getAnimations().length")


def test_every_page_of_the_console_is_for_everybody(
    visit: Visit, signed_in: Callable[..., Page], office: None, root: User
) -> None:
    found: dict[str, Any] = {}

    def examine(page: Page, name: str) -> None:
        for scheme in ("dark", "light"):
            put_in(page, scheme)
            if wrong := wrong_in(page):
                found[f"{name}, {scheme}"] = wrong
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        if not page.evaluate(NEVER_WIDER):
            found[f"{name}, 320 pixels"] = "wider"
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]

    stranger = visit("/admin/login/", reduced_motion="reduce")
    examine(stranger, settled(stranger, "sign-in"))
    page = signed_in(root, "/admin/", reduced_motion="reduce")
    for name in every_page(page):
        examine(page, name)

    put_in(page, "dark")
    assert found == {}
    assert page.evaluate("getComputedStyle(document.querySelector('#main')).backgroundColor") != "rgb(255, 255, 255)"


def downloaded(page: Page, link: str, folder: Path) -> Path:
    """Take a list away by one of the links above it."""
    with page.expect_download() as download:
        page.get_by_role("main").get_by_role("link", name=link, exact=True).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def open_pool(page: Page, name: str) -> None:
    """Open a pool by its form, which leads to it."""
    page.get_by_role("navigation").get_by_role("link", name="Pools").click()
    page.get_by_role("banner").get_by_role("link", name="Add pool").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Kind").select_option("PROMOTION")
    page.get_by_label("Currency").fill("inr")
    sent(page, "Save")
    expect(page.get_by_text("This pool has no credits yet.")).to_be_visible()


def act(page: Page, action: str, button: str, count: int) -> None:
    """Choose the first credits of the list, run an action, read what will come of it, and say yes."""
    for place in range(count):
        page.locator("input.action-select").nth(place).check()
    run(page, action)
    expect(page.get_by_text(f"{count} will be")).to_be_visible()
    sent(page, button)


def test_an_operators_whole_way_from_a_new_pool_to_a_file_of_who_owns_what(
    visit: Visit, ada: User, alice: User, tmp_path: Path
) -> None:
    page = visit("/admin/")
    page.get_by_label("Email").fill(ada.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    open_pool(page, "Festive cashback")
    page.get_by_role("main").get_by_role("link", name="Issue credits").click()
    page.get_by_label("Number of credits").fill("5")
    page.get_by_label("Title").fill("Festival of lights")
    page.get_by_label("Value of each").fill("75.00")
    page.get_by_label("Last day").fill("2099-12-31")
    sent(page, "Preview")
    sent(page, "Issue 5 credits worth 375.00\N{NO-BREAK SPACE}INR")
    expect(page.get_by_text("5 credits issued in Festive cashback.")).to_be_visible()

    page.goto(f"{CREDITS}?status=AVAILABLE")
    act(page, "expire", "Expire 2 credits", 2)
    expect(page.get_by_text("2 credits expired.")).to_be_visible()
    page.goto(f"{CREDITS}?status=EXPIRED")
    act(page, "recreate", "Recreate 2 credits", 2)
    expect(page.get_by_text("2 credits recreated.")).to_be_visible()
    claim_asset(CashbackAsset.objects.claimable()[0].pk, alice)

    page.get_by_role("navigation").get_by_role("link", name="Ownership").click()
    expect(page.get_by_text("1 claimed")).to_be_visible()
    page.get_by_placeholder("Owner's email or the credit's ID").fill("alice@")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 result")
    with downloaded(page, "CSV", tmp_path).open(newline="") as file:
        (line,) = csv.DictReader(file)
    with zipfile.ZipFile(downloaded(page, "Excel (XLSX)", tmp_path)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()

    assert (line["owner"], line["title"], line["value"], line["status"]) == (
        "alice@example.com",
        "Festival of lights",
        "75.00",
        "CLAIMED",
    )
    assert sheet.count("<row ") == 2
    assert "alice@example.com" in sheet
    assert CashbackAsset.objects.filter(pool=CreditPool.objects.get()).count() == 7


def test_the_keyboard_reaches_what_the_theme_leaves_to_the_mouse(
    signed_in: Callable[..., Page], office: None, ada: User
) -> None:
    page = signed_in(ada, CREDITS)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.get_by_role("button", name="Filters", exact=True).press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()
    page.get_by_role("button", name="ada@example.com").press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_a_phone_opens_and_closes_the_side_bar(signed_in: Callable[..., Page], office: None, ada: User) -> None:
    page = signed_in(ada, "/admin/", viewport=NARROW)

    expect(page.get_by_role("link", name="Ledger")).to_be_hidden()
    page.get_by_role("button", name="Sidebar").click()
    page.get_by_role("navigation").get_by_role("link", name="Ledger").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Ledger")
