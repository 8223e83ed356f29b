"""The whole programme in a real browser, with a worker and a receiver of webhooks: invite, verify, bonus, order, reward."""

import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from playwright.sync_api import Page, expect

from accounts.models import User
from dev.chaos.webhook_receiver import Receiver
from tests.browser.conftest import PHONE, Visit
from tests.conftest import PASSWORD
from tests.delivery.conftest import all_events, start_receiver, verify  # noqa: F401  (a fixture)
from tests.delivery.test_worker_killed import start_worker
from tests.mail import link_in, send_queued_emails
from tests.money.conftest import change_dates
from wallet import tasks
from wallet.actions import edit_rule, edit_webhook
from wallet.actions.demo_shop import demo_service
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.delivery.messages import event_body
from wallet.ledger.models import Lot, Payment
from wallet.programme.models import GrantDue

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignedIn = Callable[..., Page]
FRIEND = "carol@example.com"


@pytest.fixture
def programme(ada: User, open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> None:
    """A bonus once the email is verified, and a reward for a friend's first order, both to be spent in the demo shop."""
    shop = demo_service()
    welcome = open_pool(name="Welcome bonus", kind="SIGNUP", service=shop, per_user_limit=1, grants_only=True)
    rewards = open_pool(name="Friend rewards", kind="REFERRAL", service=shop, pending_for="14 days", grants_only=True)
    for pool, value in ((welcome, "300.00"), (rewards, "200.00")):
        issue(pool=pool, title=pool.name, total_value=Decimal(value))
    edit_rule.open_rule(ada, name="Welcome", pool=welcome, event="EMAIL_VERIFIED")
    edit_rule.open_rule(ada, name="A friend's first order", pool=rewards, event="FRIEND_FIRST_PAYMENT")


@pytest.fixture
def worker(programme: None) -> Iterator[None]:
    """A process that sends webhooks, as the scheduler's worker does."""
    process = start_worker()
    yield
    process.kill()
    process.wait()


def run_granting_task() -> int:
    """Run the scheduler's task once."""
    return tasks.grant_for_a_minute(every=10, rounds=1)


def register_with_link(page: Page) -> None:
    expect(page).to_have_url(re.compile("/register/$"))
    page.get_by_label("Email").fill(FRIEND)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Create account").click()
    expect(page).to_have_url(re.compile("/offers/$"))


def verify_email(page: Page) -> None:
    """Open the link that was sent to the friend, and confirm it."""
    (message,) = [sent for sent in send_queued_emails() if sent.to == [FRIEND]]
    page.goto(link_in(message))
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_text(f"{FRIEND} is confirmed.")).to_be_visible()


def order_a_lamp(page: Page) -> None:
    page.goto("/shop/")
    page.locator("#lamp").select_option("1")
    page.locator("#basket button").first.click()
    page.locator("#credit").fill("250")
    page.locator("#basket button").last.click()
    page.get_by_role("button", name="Place order with ₹250.00 of credit").click()
    expect(page.locator(".verdict")).to_have_text("Held for your order")


def let_return_window_pass(lot: Lot) -> None:
    """Move the claim of a credit 15 days into the past."""
    earlier = ", ".join(f"{name} = {name} - interval '15 days'" for name in ("opened_at", "spendable_from", "moved_at"))
    change_dates(lot, earlier)


def wait_for(receiver: Receiver, types: list[str]) -> None:
    """Wait until the receiver has got events of these types."""
    deadline = time.monotonic() + 20
    while receiver.types != types and time.monotonic() < deadline:
        time.sleep(0.05)
    assert receiver.types == types


def axe_violations(page: Page) -> list[str]:
    page.wait_for_load_state("networkidle")
    return [violation["id"] for violation in Axe().run(page).response["violations"]]


def test_friend_registers_verifies_gets_a_bonus_and_orders_and_the_referrer_is_rewarded(
    *,
    visit: Visit,
    signed_in: SignedIn,
    alice: User,
    programme: None,
    worker: None,
    start_receiver: Callable[..., Receiver],  # noqa: F811
) -> None:
    receiver = start_receiver()
    made = edit_webhook.add_webhook(demo_service(), receiver.url)
    invite = signed_in(alice, "/invite/")
    path = "/join/" + invite.locator(".link a").inner_text().rpartition("/join/")[2]
    expect(invite.get_by_text("No friends yet")).to_be_visible()

    # The friend registers with the link, and the bonus arrives once the email is verified.
    page = visit(path, viewport=PHONE, reduced_motion="reduce")
    register_with_link(page)
    assert run_granting_task() == 0
    verify_email(page)
    assert [run_granting_task() for _ in range(2)] == [1, 0]
    page.goto("/dashboard/")
    expect(page.locator(".balance .amount")).to_have_text("₹300.00")
    bonus = Lot.objects.get(user__email=FRIEND)
    invite.reload()
    expect(invite.locator(".friend")).to_contain_text("Joined")

    # The friend orders; the reward is due when the shop has shipped, and not before.
    order_a_lamp(page)
    assert run_granting_task() == 0
    page.get_by_role("button", name="Ship everything, take ₹250.00").click()
    expect(page.locator(".verdict")).to_have_text("Paid")
    invite.reload()
    expect(invite.locator(".friend")).to_contain_text("Reward on its way")
    assert [run_granting_task() for _ in range(2)] == [1, 0]

    # The referrer's reward is pending until the return window is over.
    reward = Lot.objects.get(user=alice)
    invite.reload()
    expect(invite.locator(".friend")).to_contain_text("₹200.00")
    expect(invite.locator(".friend")).to_contain_text("Pending until")
    assert axe_violations(invite) == axe_violations(page) == []
    invite.goto("/shop/?tea=1&credit=200")
    expect(invite.get_by_role("button", name=re.compile("Place order"))).to_have_count(0)

    # The shop's systems were told all of it, signed, in order, and the feed lists the same.
    wait_for(receiver, ["credit.claimed", "payment.held", "payment.captured", "credit.claimed"])
    messages: list[dict[str, Any]] = verify(made.secret, receiver)
    listed = [event_body(event) for event in all_events(demo_service())]
    assert messages == [event for event in listed if event["type"] != "credit.issued"]
    assert [event["type"] for event in listed][:2] == ["credit.issued"] * 2
    claimed, held, captured, rewarded = (message["data"] for message in messages)
    assert (claimed["id"], claimed["amount"], claimed["spendable_from"]) == (str(bonus.pk), "300.00", None)
    assert (held["payment"], held["amount"], held["order_total"]) == (str(Payment.objects.get().pk), "250.00", "649.00")
    assert (captured["payment"], captured["amount"]) == (held["payment"], "250.00")
    assert (rewarded["id"], rewarded["user"], rewarded["amount"]) == (str(reward.pk), str(alice.pk), "200.00")
    assert set(GrantDue.objects.values_list("entry", flat=True)) == {bonus.pk, reward.pk}
    tasks.seal_for_a_minute(rounds=1)
    call_command("verify_ledger", stdout=StringIO())

    # After the return window the reward can be spent.
    let_return_window_pass(reward)
    invite.goto("/invite/")
    expect(invite.locator(".friend")).to_contain_text("In your wallet")
    invite.goto("/shop/?tea=1&credit=200")
    expect(invite.get_by_role("button", name="Place order with ₹200.00 of credit")).to_be_visible()
