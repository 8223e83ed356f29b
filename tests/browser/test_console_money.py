"""The console's pages of money in a real browser: an operator's refund, and every page for everybody."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.services import Service
from tests.browser.conftest import DESKTOP, NARROW
from tests.browser.test_console import put_in, wrong_in
from tests.browser.test_walks import NEVER_WIDER
from tests.money.conftest import end_credit
from wallet.actions.capture_payment import capture_payment
from wallet.actions.claim import claim_asset
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.pay import pay
from wallet.actions.refund_payment import refund_payment
from wallet.admin.sidebar import REPORTS
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Lot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def market(
    *, alice: User, issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], ada: User
) -> dict[str, Any]:
    """A shop at which alice paid, holds and got refunds; one of her credits lapsed."""
    service = Service.objects.create(name="Corner shop")
    pool = open_pool(name="Welcome bonus", valid_for="20 days")
    assets = [issue(title=title, total_value=Decimal(250), pool=pool) for title in ("Welcome", "Diwali", "Late")]
    assets.append(issue(title="For ever", total_value=Decimal(1000)))
    claims = [UUID(claim_asset(asset.pk, alice).receipt["id"]) for asset in assets]

    def order(amount: str, reference: str, **options: Any) -> UUID:
        answer = pay(alice, service=service, amount=Decimal(amount), currency="INR", reference=reference, **options)
        return UUID(answer.body["id"])

    payment, held = order("300", "INV-2027-0001"), order("125.50", "INV-2027-0002", capture=False)
    partly = order("80", "INV-2027-0003", capture=False)
    capture_payment(partly, service, amount=Decimal(30), final=False)
    refund_payment(payment, amount=Decimal(20), reference="RET-1", reason="returned", actor=ada)
    end_credit(Lot.objects.get(pk=claims[2]))
    lapse_ended_credits()
    return {"payment": payment, "held": held, "claim": claims[0], "last": claims[3], "pool": pool, "person": alice}


def pages(market: dict[str, Any]) -> dict[str, str]:
    """Return by a name the address of each page."""
    payments, person = reverse("admin:ledger_payment_changelist"), market["person"].pk
    return {
        "payments": payments,
        "current-holds": f"{payments}?state=CURRENT_HOLDS",
        "payment": reverse("admin:ledger_payment_change", args=[market["payment"]]),
        "release": reverse("admin:ledger_payment_release", args=[market["held"]]),
        "refund": reverse("admin:ledger_payment_refund", args=[market["payment"]]),
        "lapses": reverse("admin:ledger_lapse_changelist"),
        "services": reverse("services"),
        "claim": reverse("admin:ledger_entry_change", args=[market["claim"]]),
        "clawback": reverse("admin:ledger_entry_clawback", args=[market["claim"]]),
        "extend": reverse("admin:ledger_entry_extend", args=[market["claim"]]),
        "grant": reverse("customer_grant", args=[person]),
        "customer": reverse("customer", args=[person]),
        "wallet": reverse("customer_wallet", args=[person]),
        "wallet-wrong-time": f"{reverse('customer_wallet', args=[person])}?as_of=yesterday",
        "pool": reverse("admin:assets_creditpool_change", args=[market["pool"].pk]),
        **{f"report-{name}": reverse(f"report_{name}") for name in REPORTS},
    }


def test_every_page_of_money_is_for_everybody(
    signed_in: Callable[..., Page], market: dict[str, Any], ada: User, complaints: list[str]
) -> None:
    found: dict[str, Any] = {}
    page = signed_in(ada, "/admin/", reduced_motion="reduce")
    for name, url in pages(market).items():
        page.goto(url)
        for scheme in ("dark", "light"):
            put_in(page, scheme)
            if wrong := wrong_in(page):
                found[f"{name}, {scheme}"] = wrong
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        if not page.evaluate(NEVER_WIDER):
            found[f"{name}, 320 pixels"] = "wider"
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]

    complaints[:] = [text for text in complaints if "400" not in text]  # the wrong time
    assert found == {}


def test_an_operator_refunds_a_payment_and_finance_sees_it(
    signed_in: Callable[..., Page], market: dict[str, Any], ada: User
) -> None:
    page = signed_in(ada, reverse("admin:ledger_payment_changelist"))
    page.get_by_role("link", name="INV-2027-0001").click()
    page.get_by_role("link", name="Refund", exact=True).click()
    page.get_by_label("Amount").fill("60")
    page.get_by_label("Reference").fill("ticket-17")
    page.get_by_label("Reason").select_option(label="Order returned")
    page.get_by_role("button", name="Preview").click()

    expect(page.get_by_text("goes back to").first).to_be_visible()
    page.get_by_role("button", name="Refund", exact=True).click()

    expect(page.get_by_text("The payment was refunded.")).to_be_visible()
    expect(page.get_by_role("cell", name="ticket-17")).to_be_visible()
    page.goto(reverse("report_settlement"))
    expect(page.get_by_text("All reports agree")).to_be_visible()
    expect(page.get_by_role("cell", name="250.00 INR").first).to_be_visible()
