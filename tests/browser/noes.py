"""Every page of a user's that says no, one after the other, as a browser comes to it."""

from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from accounts import throttles
from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

EXPECTED = ("404", "405", "429")  # what a browser complains of on the way


def every_no(page: Page, stranger: Page, user: User, quicker: User, settings: Any) -> Iterator[tuple[Page, str]]:
    """Lead `user`'s browser, which shows the offers, and a stranger's into each no, and yield where it is said and its name."""
    goodwill = CashbackAsset.objects.get(title="Goodwill credit").pk
    claim_asset(goodwill, quicker)
    page.get_by_role("button", name="Claim Goodwill credit").click()
    page.locator(".outcome").wait_for()
    settings.RATES = settings.RATES | {"claim": "1/h", "sign_in": "1/h"}
    throttles.check_claim(user)
    page.get_by_role("button", name="Claim Metro recharge").click()
    page.locator(".outcome").nth(1).wait_for()
    yield page, "offers-refused"
    page.goto("/offers/")
    with page.expect_navigation():
        page.locator(".ticket form").first.evaluate("form => form.submit()")  # as a browser without a script sends it
    yield page, "try-again"
    for address, name in (("/no-such-page/", "not-found"), (f"/credits/{goodwill}/claim/", "use-the-button")):
        page.goto(address)
        yield page, name
    stranger.goto("/sign-in/")
    for _ in range(2):
        stranger.locator("[name=username]").fill(user.email)
        stranger.locator("[name=password]").fill("not the password")
        with stranger.expect_navigation():
            stranger.locator("main button[type=submit]").click()
    yield stranger, "sign-in-wait"


def forget_expected(complaints: list[str]) -> None:
    """Take out what the browsers rightly complained of."""
    complaints[:] = [text for text in complaints if not any(status in text for status in EXPECTED)]
