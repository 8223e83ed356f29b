"""What people do, in a real browser; a console error or a breach of the content policy fails each of these."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import NARROW, Visit
from tests.browser.noes import every_no, forget_expected
from tests.conftest import PASSWORD
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
SignedIn = Callable[..., Page]
USERS = [
    "/offers/",
    "/offers/?q=nothing",
    "/offers/?min=x",
    "/offers/?min=10",
    "/dashboard/",
    "/claims/",
    "/claims/?q=nothing",
    "/account/",
    "/password/",
]
USERS += ["/account/sign-ins/", "/account/close/", "/password/forgotten/", "/password/reset/x/", "/email/verify/x/"]
USERS += ["/account/email/", "/account/time-zone/", "/account/sign-out-elsewhere/", "/no-such-page/"]
STRANGERS = ["/", "/sign-in/", "/register/", "/help/", "/terms/", "/privacy/", "/verify/"]
NEVER_WIDER = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def forget_refused_filters(complaints: list[str]) -> None:
    """Forget what a browser says of an offers page whose filter is refused (400)."""
    complaints[:] = [text for text in complaints if "400" not in text]


def register(page: Page) -> None:
    page.get_by_role("link", name="Create account").first.click()
    page.get_by_label("Email").fill("carol@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Create account").click()


def walk_to_the_end(page: Page) -> None:
    """From a claim that was made to signing out: receipt, wallet, history."""
    page.get_by_role("link", name="See receipt").first.click()
    expect(page.get_by_role("heading", name="Festival of lights")).to_be_visible()
    expect(page.get_by_text(str(Entry.objects.get().pk))).to_be_visible()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Wallet").click()
    expect(page.locator(".balance .amount")).to_have_text("₹75.00")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="History").click()
    expect(page.locator(".rows li")).to_have_count(1)
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cashback you claim in one tap")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_whole_way_from_register_to_sign_out(visit: Visit, open_pool: OpenPool, issue: Issue, script: bool) -> None:
    issue(pool=open_pool(), title="Festival of lights", total_value="75.00", expires_at=timezone.now() + timedelta(days=1))

    page = visit("/", java_script_enabled=script)
    register(page)
    expect(page).to_have_url(re.compile("/offers/$"))
    page.get_by_role("button", name="Claim Festival of lights, ₹75.00").click()
    if script:
        expect(page.locator(".ticket .outcome")).to_contain_text("Claimed")
        expect(page.get_by_role("link", name="See receipt")).to_be_focused()
        expect(page.locator("#live")).to_contain_text("Claimed. Festival of lights (₹75.00) was added to your wallet.")
    else:
        expect(page.get_by_role("status").first).to_contain_text("Claimed. Festival of lights (₹75.00)")

    walk_to_the_end(page)
    assert Entry.objects.get().user.email == "carol@example.com"


def test_two_users_and_one_credit(signed_in: SignedIn, alice: User, bob: User, issue: Issue) -> None:
    issue(title="The last one")
    first, second = signed_in(alice), signed_in(bob)

    first.get_by_role("button", name="Claim The last one").click()
    expect(first.locator(".outcome")).to_contain_text("Claimed")
    second.get_by_role("button", name="Claim The last one").click()

    expect(second.locator(".outcome")).to_contain_text("Just claimed by someone else")
    expect(second.get_by_role("link", name="See offers")).to_be_visible()
    assert Entry.objects.get().user == alice


def test_a_double_tap_and_a_reload_claim_once(signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(name="Diwali")
    for _ in range(5):
        issue(pool=pool)

    page = signed_in(alice)
    page.get_by_role("button", name="Claim Welcome bonus").dblclick()
    expect(page.locator(".outcome")).to_contain_text("Claimed")
    page.reload()
    expect(page.get_by_role("button", name="Claim Welcome bonus")).to_be_visible()

    assert Entry.objects.count() == 1


def test_two_claims_at_once_both_show_what_came_of_them(
    signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(name="Diwali")
    for title in ("first", "second", "first", "second"):
        issue(pool=pool, title=title)

    page = signed_in(alice)
    page.evaluate("for (const button of document.querySelectorAll('.claimable button')) button.click()")

    expect(page.locator(".outcome")).to_have_count(2)
    assert Entry.objects.count() == 2


def test_a_double_tap_without_a_script_claims_once(signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(name="Diwali")
    for _ in range(5):
        issue(pool=pool)

    page = signed_in(alice, java_script_enabled=False)
    page.get_by_role("button", name="Claim Welcome bonus").dblclick()
    expect(page.get_by_role("link", name="See receipt").first).to_be_visible()
    page.reload()

    assert Entry.objects.count() == 1


def test_another_of_the_same_is_a_tap_of_its_own(signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(name="Diwali")
    for _ in range(3):
        issue(pool=pool)

    page = signed_in(alice)
    for left in (3, 2):
        page.locator(".ticket button").click()
        expect(page.locator(".ticket .claimable")).to_contain_text(f"{left - 1} left")

    assert Entry.objects.count() == 2


def test_offers_are_searched_in_place_and_the_address_follows(signed_in: SignedIn, shop: User) -> None:
    page = signed_in(shop)

    page.get_by_label("Search by title").press_sequentially("festival")

    expect(page.locator(".ticket")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=festival"))
    expect(page.locator("#summary")).to_have_text("1 offer on this page")
    page.locator(".ticket button").click()
    expect(page.locator(".ticket .outcome")).to_contain_text("Claimed")
    page.go_back()
    expect(page.locator(".ticket")).not_to_have_count(1)


def test_time_is_told_in_the_visitors_zone_and_counted_down(signed_in: SignedIn, alice: User, issue: Issue) -> None:
    now = timezone.now()
    issue(title="soon", expires_at=now + timedelta(hours=5, minutes=30))
    issue(title="later", expires_at=datetime(2099, 2, 28, 18, 30, tzinfo=timezone.get_fixed_timezone(0)))

    page = signed_in(alice)

    expect(page.locator(".ticket").filter(has_text="later")).to_contain_text("1 Mar 2099, 12:00")
    expect(page.locator(".ticket").filter(has_text="soon")).to_contain_text(re.compile(r"Ends in 5 hrs? (29|30) min"))
    expect(page.get_by_role("contentinfo")).to_contain_text("Times are in your time zone, India Standard Time.")


def test_first_visit_is_in_the_browsers_zone_and_the_next_page_comes_in_it(visit: Visit, issue: Issue) -> None:
    issue(title="later", expires_at=datetime(2099, 2, 28, 18, 30, tzinfo=timezone.get_fixed_timezone(0)))

    page = visit("/", timezone_id="Asia/Kathmandu")
    for _ in range(2):
        expect(page.locator(".ticket time")).to_have_text("1 Mar 2099, 12:15 am")
        expect(page.get_by_role("contentinfo")).to_contain_text("Times are in your time zone, Nepal Time.")
        page.reload()

    assert page.evaluate("document.body.dataset.zone").startswith("Asia/Kat")


def test_sign_in_keeps_the_browsers_zone_as_the_preference(visit: Visit, alice: User) -> None:
    page = visit("/sign-in/", timezone_id="Asia/Tokyo")
    page.get_by_label("Email").fill(alice.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.goto("/account/")

    expect(page.get_by_role("main")).to_contain_text("Japan Standard Time")
    alice.refresh_from_db()
    assert alice.time_zone == "Asia/Tokyo"


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_claim_on_the_wallet_renews_balance_activity_and_the_other_cards(
    signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue, *, script: bool
) -> None:
    pool, soon = open_pool(name="Diwali", per_user_limit=1), timezone.now() + timedelta(hours=60)
    issue(pool=pool, title="one per person", expires_at=soon)
    issue(title="of no pool", expires_at=soon)
    page = signed_in(alice, "/dashboard/", java_script_enabled=script)
    expect(page.get_by_text("Your wallet is empty")).to_be_visible()

    page.get_by_role("button", name="Claim of no pool").click()
    expect(page.locator(".balance .amount")).to_have_text("₹100.00")
    page.get_by_role("button", name="Claim one per person").click()

    expect(page.locator(".balance .amount")).to_have_text("₹200.00")
    expect(page.locator(".rows li")).to_have_count(4)  # two credits, two claims
    if script:
        expect(page.locator(".outcome")).to_have_count(2)


def test_limit_that_a_claim_reaches_ends_the_other_offers_of_the_pool(
    signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(name="Diwali", per_user_limit=1)
    for title in ("sweets", "lamps"):
        issue(pool=pool, title=title)
    page = signed_in(alice)

    page.get_by_role("button", name="Claim sweets").click()

    expect(page.locator(".outcome")).to_contain_text("Claimed")
    expect(page.locator(".variant").filter(has_text="lamps")).to_contain_text("You've reached the limit for this offer.")
    expect(page.get_by_role("button", name="Claim lamps")).to_have_count(0)


def test_receipt_copies_its_reference_and_is_printed(signed_in: SignedIn, shop: User) -> None:
    entry = Entry.objects.filter(user=shop).earliest("xid")
    page = signed_in(shop, f"/claims/{entry.pk}/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("window.print = () => { window.printed = true; }")

    page.get_by_role("button", name="Copy the reference").click()
    expect(page.locator("#live")).to_have_text("Copied")
    page.get_by_role("button", name="Print").click()

    assert page.evaluate("navigator.clipboard.readText()").replace("-", "").lower() == entry.pk.hex[-12:]
    assert page.evaluate("window.printed")
    page.emulate_media(media="print")
    for hidden in ("banner", "contentinfo", "button"):
        expect(page.get_by_role(hidden)).to_have_count(0)
    expect(page.get_by_text("Verify at")).to_be_visible()


def test_what_ends_before_ones_eyes_cannot_be_tapped(signed_in: SignedIn, alice: User, issue: Issue) -> None:
    issue(title="brief", expires_at=timezone.now() + timedelta(seconds=4))

    page = signed_in(alice)

    expect(page.get_by_role("button", name="Claim brief")).to_be_disabled(timeout=8_000)
    expect(page.locator(".ticket")).to_contain_text("Ended")


def test_a_lost_connection_is_said_and_the_same_form_works_after(
    signed_in: SignedIn, alice: User, issue: Issue, complaints: list[str]
) -> None:
    issue()
    page = signed_in(alice)

    page.context.set_offline(True)
    page.get_by_role("button", name="Claim Welcome bonus").click()
    expect(page.get_by_role("alert")).to_contain_text("You're offline. Try again")
    page.context.set_offline(False)
    page.get_by_role("button", name="Claim Welcome bonus").click()
    expect(page.locator(".outcome")).to_contain_text("Claimed")

    assert all("ERR_INTERNET_DISCONNECTED" in text or "htmx" in text for text in complaints)
    complaints.clear()


def test_too_many_taps_wait_and_then_go_on_with_the_same_form(
    *, signed_in: SignedIn, alice: User, open_pool: OpenPool, issue: Issue, settings: Any, complaints: list[str]
) -> None:
    settings.RATES = settings.RATES | {"claim": "1/h"}
    pool = open_pool(name="Diwali")
    for _ in range(3):
        issue(pool=pool)
    page = signed_in(alice, "/healthz")
    page.clock.install()
    page.goto("/offers/")

    for _ in range(2):
        page.locator(".ticket button").click()
        page.locator(".ticket .outcome").wait_for()
    expect(page.locator(".ticket .outcome")).to_contain_text("Too many attempts")
    expect(page.locator(".ticket button")).to_be_disabled()
    settings.RATES = settings.RATES | {"claim": "off"}
    page.clock.fast_forward("01:00:00")
    page.get_by_role("button", name="Try again").click()

    expect(page.locator(".ticket .outcome.success")).to_be_visible()
    assert Entry.objects.count() == 2
    complaints[:] = [text for text in complaints if "429" not in text]


def test_the_keyboard_alone_claims(signed_in: SignedIn, alice: User, issue: Issue) -> None:
    issue(title="by hand")
    page = signed_in(alice)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Claim":
            break
    page.keyboard.press("Enter")

    expect(page.locator(".outcome")).to_contain_text("Claimed")


def test_a_password_is_shown_on_request_and_hidden_when_sent(visit: Visit, alice: User) -> None:
    page = visit("/sign-in/")
    field = page.get_by_label("Password", exact=True)
    field.fill(PASSWORD)

    page.get_by_role("button", name="Show the password").click()
    expect(field).to_have_attribute("type", "text")
    page.get_by_label("Email").fill(alice.email)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Your wallet")


def test_the_language_is_switched_from_the_foot_of_the_page(visit: Visit) -> None:
    page = visit("/sign-in/")

    page.get_by_role("button", name="हिन्दी").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("साइन इन")
    expect(page.locator("html")).to_have_attribute("lang", "hi")


@pytest.mark.parametrize("language", ["en-IN", "hi-IN"])
def test_no_page_is_wider_than_320_pixels(
    visit: Visit, signed_in: SignedIn, shop: User, complaints: list[str], language: str
) -> None:
    stranger = visit("/", viewport=NARROW, locale=language)
    page = signed_in(shop, viewport=NARROW, locale=language)
    receipt = f"/claims/{Entry.objects.filter(user=shop)[0].pk}/"
    pools = [f"/pools/{pool.pk}/" for pool in CreditPool.objects.all()]

    wide = []
    for browser, paths in ((stranger, STRANGERS), (page, [*USERS[:-1], receipt, *pools])):
        for path in paths:
            browser.goto(path)
            if not browser.evaluate(NEVER_WIDER):
                wide.append(path)
    page.goto("/offers/")
    page.locator(".ticket button").nth(1).click()
    page.locator(".outcome").wait_for()

    assert wide == []
    assert page.evaluate(NEVER_WIDER)
    forget_refused_filters(complaints)


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-IN"), ("dark", "en-IN"), ("light", "hi-IN")])
def test_axe_finds_nothing(
    *, visit: Visit, signed_in: SignedIn, shop: User, bob: User, complaints: list[str], scheme: Any, language: str
) -> None:
    look: dict[str, Any] = {"color_scheme": scheme, "locale": language, "reduced_motion": "reduce"}
    found: dict[str, Any] = {}

    def examine(page: Page, name: str) -> None:
        if violations := Axe().run(page).response["violations"]:
            found[name] = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]

    stranger, page, newcomer = visit("/", **look), signed_in(shop, **look), signed_in(bob, **look)
    receipts = [
        f"/claims/{entry.pk}/" for entry in (Entry.objects.filter(user=shop).order_by("xid")[0], Entry.objects.latest("xid"))
    ]
    pools = [f"/pools/{pool.pk}/" for pool in CreditPool.objects.all()]
    for browser, paths in ((stranger, STRANGERS), (page, [*USERS, *receipts, *pools]), (newcomer, ["/dashboard/", "/claims/"])):
        for path in paths:
            browser.goto(path)
            browser.wait_for_load_state("networkidle")
            examine(browser, path)
    stranger.goto("/register/")
    stranger.locator("main button[type=submit]").click()
    examine(stranger, "register with errors")
    page.goto("/offers/")
    page.locator(".ticket button").nth(1).click()
    page.locator(".outcome").wait_for()
    examine(page, "offers after a claim")

    assert found == {}
    complaints[:] = [text for text in complaints if "404" not in text]
    forget_refused_filters(complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_no_is_for_everybody(
    *, visit: Visit, signed_in: SignedIn, shop: User, bob: User, settings: Any, complaints: list[str], scheme: Any
) -> None:
    look: dict[str, Any] = {"color_scheme": scheme, "viewport": NARROW, "reduced_motion": "reduce"}
    page, stranger = signed_in(bob, **look), visit("/", **look, locale="hi-IN")
    found: dict[str, list[Any]] = {}

    for shown, name in every_no(page, stranger, bob, shop, settings):
        shown.wait_for_load_state("networkidle")
        if violations := Axe().run(shown).response["violations"]:
            found[name] = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]
        if not shown.evaluate(NEVER_WIDER):
            found[f"{name}, 320 pixels"] = ["wider"]

    assert found == {}
    forget_expected(complaints)
