"""An order paid with credit in a real browser, with and without a script; its pages are for everybody and fit a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import DESKTOP, NARROW
from wallet.actions import seal_ledger
from wallet.ledger.models import Lot, Payment

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignedIn = Callable[..., Page]
NEVER_WIDER = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def fill_basket(page: Page) -> None:
    page.locator("#lamp").select_option("1")
    page.locator("#mug").select_option("2")
    page.locator("#basket button").first.click()
    page.locator("#credit").fill("250")
    page.locator("#basket button").last.click()


def states_of_an_order(page: Page) -> Iterator[str]:
    """Pay an order with credit and take it through its life; yield the name of each page that is shown."""
    page.goto("/shop/")
    yield "shop"
    fill_basket(page)
    yield "basket"
    page.locator("form.place button").click()
    page.wait_for_url("**/shop/orders/*/")
    yield "order-held"
    page.locator("#ship-amount").fill("100")
    page.locator("form.use button").first.click()
    yield "order-shipped-in-part"
    page.locator("form[action$='/ship/'] button").first.click()
    page.locator("#return-amount").fill("200")
    page.locator("form[method=get] button").click()
    page.locator("#preview").wait_for()
    yield "return-previewed"
    page.locator("form[action$='/return/'] button").click()
    page.locator("#return-amount").fill("999")
    page.locator("form[method=get] button").click()
    yield "return-refused"
    seal_ledger.seal_all()
    for name, path in (("payment", f"/payments/{Payment.objects.latest('id').pk}/"), ("wallet", "/dashboard/")):
        page.goto(path)
        yield name
    for name in ("credits", "claims", "shop", "shop/?tea=9&credit=5000", "shop/?tea=1&credit=x"):
        page.goto(f"/{name}/".replace("0/", "0").replace("x/", "x"))
        yield name.replace("/", "-")
    page.goto(f"/claims/{Lot.objects.filter(spent__gt=0)[0].pk}/")
    yield "claim-spent"


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_an_order_is_paid_shipped_and_returned(signed_in: SignedIn, shop: User, script: bool) -> None:
    page = signed_in(shop, "/dashboard/", java_script_enabled=script)
    page.get_by_role("link", name="Spend it in the demo shop").click()
    fill_basket(page)
    page.get_by_role("button", name="Place order with ₹250.00 of credit").click()
    expect(page.locator(".verdict")).to_have_text("Held for your order")
    assert bool(re.search(r"Ends in 1[45] min", page.locator("main").inner_text())) == script
    page.get_by_label("Ship a part, take").fill("100")
    page.get_by_role("button", name="Ship a part").click()
    expect(page.locator(".verdict")).to_have_text("Paid in part, the rest is held")
    page.get_by_role("button", name="Ship everything, take ₹150.00").click()
    expect(page.locator(".verdict")).to_have_text("Paid")
    page.get_by_label("Return").fill("200")
    page.get_by_role("button", name="Preview the return").click()
    expect(page.get_by_text("A return of ₹200.00 brings back")).to_be_visible()
    page.get_by_role("button", name="Take back and return ₹200.00").click()
    expect(page.locator(".verdict")).to_have_text("Refunded in part")
    page.get_by_role("link", name="Receipt of the payment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Demo shop")


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-IN"), ("dark", "en-IN"), ("light", "hi-IN")])
def test_axe_finds_nothing_on_the_way_of_an_order(
    signed_in: SignedIn, shop: User, complaints: list[str], scheme: Any, language: str
) -> None:
    page = signed_in(shop, "/shop/", color_scheme=scheme, locale=language, reduced_motion="reduce", viewport=DESKTOP)
    found: dict[str, Any] = {}

    for name in states_of_an_order(page):
        page.wait_for_load_state("networkidle")
        if violations := Axe().run(page).response["violations"]:
            found[name] = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]

    assert found == {}
    complaints[:] = [text for text in complaints if "400" not in text]


@pytest.mark.parametrize("language", ["en-IN", "hi-IN"])
def test_no_page_on_the_way_of_an_order_is_wider_than_320_pixels(
    signed_in: SignedIn, shop: User, complaints: list[str], language: str
) -> None:
    page = signed_in(shop, "/shop/", viewport=NARROW, locale=language)

    assert [name for name in states_of_an_order(page) if not page.evaluate(NEVER_WIDER)] == []
    complaints[:] = [text for text in complaints if "400" not in text]
