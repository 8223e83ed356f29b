"""Every page there is, in a real browser under the content policy: nothing is blocked, missing, or asked of another host."""

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, Response, expect

from accounts.models import User
from tests.browser.conftest import Visit
from tests.security.addresses import addresses
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pages(shop: User, root: User) -> list[str]:
    """Return the addresses that show root a page, each with a row of its kind."""
    entry, pool = Entry.objects.all()[0], CreditPool.objects.all()[0]
    claimed, free = entry.asset_id, CashbackAsset.objects.claimable()[0].pk
    ids = {"creditpool": pool.pk, "pools": pool.pk, "entry": entry.pk, "claims": entry.pk, "user": shop.pk}
    client = Client(headers={"Accept": "text/html"})
    client.force_login(root)
    found = {
        address: None
        for asset in (claimed, free)
        for address in addresses({name: str(pk) for name, pk in (ids | {"cashbackasset": asset, "assets": asset}).items()})
    }
    shown = {address: client.get(address) for address in found if "/export/" not in address}
    return [
        address
        for address, answer in shown.items()
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    ]


def test_no_page_breaks_the_policy_or_asks_for_what_is_not_there(
    signed_in: Callable[..., Page], root: User, pages: list[str]
) -> None:
    page = signed_in(root, "/")
    home, wrong = page.evaluate("location.origin"), []

    def watch(answer: Response) -> None:
        if answer.status >= 400 or not answer.url.startswith((home, "data:", "blob:")):
            wrong.append(f"{answer.status} {answer.url} on {page.url}")

    page.on("response", watch)
    page.on("pageerror", lambda error: wrong.append(f"{error} on {page.url}"))
    page.on("console", lambda said: wrong.append(f"{said.text} on {page.url}") if said.type in ("error", "warning") else None)
    for address in pages:
        page.goto(address, wait_until="load")
        page.wait_for_load_state("networkidle")

    assert len(pages) > 50
    assert wrong == []


def test_the_page_of_the_schema_shows_every_operation(visit: Visit) -> None:
    page = visit("/api/v1/docs/")

    expect(page.locator(".opblock")).to_have_count(78)
    page.locator(".opblock").first.click()
    expect(page.get_by_role("button", name="Try it out")).to_be_visible()


def test_the_browsable_page_opens_its_menus(signed_in: Callable[..., Page], ada: User, shop: User) -> None:
    page = signed_in(ada, f"/api/v1/assets/{CashbackAsset.objects.claimable()[0].pk}/")

    page.get_by_role("button", name="Extra Actions").click()

    expect(page.get_by_role("link", name="Recreate", exact=True)).to_be_visible()
    box = page.locator("#extra-actions-menu").bounding_box()
    assert box
    assert box["x"] > 600  # where the original's own style would put it
