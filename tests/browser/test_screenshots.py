"""Every page as it looks: `make screenshots` writes them into docs/screenshots."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from accounts.models import User
from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.browser.console import every_page, settled
from tests.browser.noes import every_no, forget_expected
from wallet.assets.models import CreditPool
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.screenshots, pytest.mark.django_db(transaction=True)]

FOLDER = Path(os.environ.get("SCREENSHOTS", "docs/screenshots"))
LOOKS = list(itertools.product(["light", "dark"], [("desktop", DESKTOP), ("phone", PHONE)]))


def taken(page: Page, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)  # nothing is pointed at
    page.wait_for_timeout(300)
    # As high as its content, so that what is fixed to the bottom stands at the bottom.
    width = page.viewport_size["width"]  # type: ignore[index]
    page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    page.set_viewport_size({"width": width, "height": 844})


@pytest.mark.parametrize(("scheme", "size"), LOOKS, ids=[f"{scheme}-{size[0]}" for scheme, size in LOOKS])
def test_every_page_is_drawn(
    *, visit: Visit, signed_in: Callable[..., Page], shop: User, bob: User, scheme: str, size: tuple[str, Any]
) -> None:
    look: dict[str, Any] = {"color_scheme": scheme, "viewport": size[1], "device_scale_factor": 1}
    end = f"{size[0]}-{scheme}"
    stranger = visit("/", **look)
    for name in ("landing", "sign-in", "register", "help", "terms", "privacy", "verify"):
        stranger.goto("/" if name == "landing" else f"/{name}/")
        taken(stranger, f"{name}-{end}")
    stranger.goto("/register/")
    stranger.get_by_label("Email").fill("carol")
    stranger.get_by_label("Password", exact=True).fill("12345")
    stranger.locator("main button[type=submit]").click()
    taken(stranger, f"register-errors-{end}")
    page = signed_in(shop, "/offers/", **look)
    taken(page, f"offers-{end}")
    page.get_by_role("button", name="Claim Festival of lights").click()
    page.get_by_role("button", name="Claim Thanks for inviting a friend").click()
    page.locator(".outcome").nth(1).wait_for()
    taken(page, f"offers-claimed-{end}")
    page.goto("/offers/?q=fest&pool=&currency=INR&min=20&sort=high")
    taken(page, f"offers-filtered-{end}")
    page.goto("/offers/?q=nothing")
    taken(page, f"offers-none-{end}")
    sealed, fresh = Entry.objects.filter(user=shop).earliest("xid"), Entry.objects.filter(user=shop).latest("xid")
    addresses = {"wallet": "/dashboard/", "history": "/claims/", "account": "/account/", "password": "/password/"}
    addresses |= {"receipt": f"/claims/{sealed.pk}/", "receipt-fresh": f"/claims/{fresh.pk}/"}
    addresses |= {"email": "/account/email/", "sign-out-elsewhere": "/account/sign-out-elsewhere/"}
    addresses |= {"time-zone": "/account/time-zone/", "pool": f"/pools/{CreditPool.objects.get(name='Festive cashback').pk}/"}
    addresses |= {"sign-ins": "/account/sign-ins/", "close": "/account/close/", "forgotten": "/password/forgotten/"}
    addresses |= {"credits": "/credits/", "invite": "/invite/", "notices": "/account/notices/", "shop": "/shop/"}
    for name, address in addresses.items():
        page.goto(address)
        taken(page, f"{name}-{end}")
    newcomer = signed_in(bob, "/dashboard/", **look)
    taken(newcomer, f"wallet-empty-{end}")
    newcomer.goto("/claims/")
    taken(newcomer, f"history-empty-{end}")


@pytest.mark.parametrize(("scheme", "size"), LOOKS, ids=[f"{scheme}-{size[0]}" for scheme, size in LOOKS])
def test_every_no_is_drawn(
    *,
    visit: Visit,
    signed_in: Callable[..., Page],
    shop: User,
    bob: User,
    settings: Any,
    complaints: list[str],
    scheme: str,
    size: tuple[str, Any],
) -> None:
    look: dict[str, Any] = {"color_scheme": scheme, "viewport": size[1], "device_scale_factor": 1}
    end = f"{size[0]}-{scheme}"
    page, stranger = signed_in(bob, **look), visit("/", **look, locale="hi-IN")
    for shown, name in every_no(page, stranger, bob, shop, settings):
        taken(shown, f"{name}-{end}")
    forget_expected(complaints)


@pytest.mark.parametrize(("scheme", "size"), LOOKS, ids=[f"{scheme}-{size[0]}" for scheme, size in LOOKS])
def test_every_page_of_the_console_is_drawn(
    *, visit: Visit, signed_in: Callable[..., Page], office: None, root: User, scheme: str, size: tuple[str, Any]
) -> None:
    look: dict[str, Any] = {"color_scheme": scheme, "viewport": size[1], "device_scale_factor": 1, "reduced_motion": "reduce"}
    stranger = visit("/admin/login/", **look)
    taken(stranger, f"console-{settled(stranger, 'sign-in')}-{size[0]}-{scheme}")

    page = signed_in(root, "/admin/", **look)
    for name in every_page(page):
        taken(page, f"console-{name}-{size[0]}-{scheme}")
