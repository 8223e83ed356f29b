"""The demo shop: a basket paid with credit, and what the shop does with the order."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import end_credit, end_hold, figures
from tests.pages.conftest import message_texts
from tests.responses import ClientResponse
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.demo_shop import NAME, Basket
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, Movement, Payment

SHOP, ORDERS = reverse("shop"), reverse("place_order")
Credit = Callable[..., Lot]
ROUTES = ("shop_order", "ship_order", "cancel_order", "return_order")


def fields_of(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form that leads to an address."""
    form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert form, f"no form leads to {action}"
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    return {name: value for name, value in hidden if name != "csrfmiddlewaretoken"}


def place(browser: Client, **asked: str) -> UUID:
    """Put something into the basket, place the order and return its payment."""
    page = browser.get(SHOP, asked).content.decode()
    answer = browser.post(ORDERS, fields_of(page, ORDERS))
    return UUID(answer["Location"].split("/")[-2])


def act(browser: Client, payment: UUID, name: str, **fields: str) -> ClientResponse:
    """Send the order's form of that name, with the key that the page gives it."""
    action = reverse(name, args=[payment])
    address = reverse("shop_order", args=[payment])
    page = browser.get(address, {"amount": fields["amount"]} if name == "return_order" else None).content.decode()
    return browser.post(action, fields_of(page, action) | fields)


def state_of(browser: Client, payment: UUID) -> str:
    return str(browser.get(reverse("shop_order", args=[payment])).context["receipt"].state)


def test_shop_is_only_there_where_the_setting_is_on(alice_client: Client, settings: Any) -> None:
    assert alice_client.get(SHOP).status_code == 200
    assert "demo shop" in alice_client.get(reverse("dashboard")).content.decode()
    settings.DEMO_SHOP = False

    assert alice_client.get(SHOP).status_code == 404
    assert alice_client.post(ORDERS).status_code == 404
    for name in ROUTES:
        assert alice_client.get(reverse(name, args=[uuid4()])).status_code == 404
    assert "demo shop" not in alice_client.get(reverse("dashboard")).content.decode()


@pytest.mark.django_db
def test_anonymous_visitor_is_asked_to_sign_in() -> None:
    assert Client().get(SHOP)["Location"] == f"{reverse('sign_in')}?next={SHOP}"


def test_quote_names_the_credits_that_would_pay_and_writes_nothing(
    alice_client: Client, credit: Credit, open_pool: Callable[..., CreditPool]
) -> None:
    credit("500", title="for ever")
    credit("100", title="ends soon", pool=open_pool(name="short", valid_for="3 days"))
    credit("80", title="not yet", pool=open_pool(name="later", pending_for="3 days"))

    page = alice_client.get(SHOP, {"lamp": "1", "credit": "250"}).content.decode()

    assert "₹250.00 of your credit" in page
    places = [page.index(f"<strong>{title}") for title in ("ends soon", "for ever")]
    assert places == sorted(places)
    assert "not yet, ₹80.00: not spendable yet" in page
    assert "The rest, ₹399.00, would be paid by card." in page
    assert Movement.objects.count() == Payment.objects.count() == Service.objects.count() == 0


def test_without_an_amount_as_much_credit_as_there_is_is_quoted(alice_client: Client, credit: Credit) -> None:
    credit("100")

    page = alice_client.get(SHOP, {"mug": "2"}).content.decode()

    assert "Place order with ₹100.00 of credit" in page
    assert "The rest, ₹71.00, would be paid by card." in page


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"credit": "150"}, "Only ₹100.00 can be spent here now."),
        ({"credit": "171.01"}, "That&#x27;s more than your order costs."),
        ({"credit": "1.005"}, "Enter an amount of more than 0, with at most two decimals."),
        ({"credit": "much"}, "Enter a plain amount"),
    ],
)
def test_basket_says_why_so_much_credit_cannot_be_used(
    alice_client: Client, credit: Credit, asked: dict[str, str], words: str
) -> None:
    credit("100")

    page = alice_client.get(SHOP, {"mug": "2"} | asked).content.decode()

    assert words in page
    assert "Place order with" not in page


@pytest.mark.parametrize("asked", [{"mug": "10"}, {"mug": "-1"}, {"mug": "x"}])
def test_basket_takes_only_possible_quantities(alice_client: Client, asked: dict[str, str]) -> None:
    assert alice_client.get(SHOP, asked).status_code == 400


def test_order_holds_the_credit_and_counts_down_to_the_end_of_the_hold(alice_client: Client, credit: Credit) -> None:
    lot = credit("100")

    payment = place(alice_client, mug="2", credit="60")

    assert figures(lot) == {"available": 40, "held": 60}
    found = Payment.objects.get(pk=payment)
    assert found.service.name == NAME
    assert found.held_until
    assert round((found.held_until - found.began_at).total_seconds()) == 15 * 60
    page = alice_client.get(reverse("shop_order", args=[payment])).content.decode()
    for words in ("Held for your order", "2 × Clay mug", "₹171.00", "Held until", "data-ends", "As the shop"):
        assert words in page
    assert found.reference in alice_client.get(SHOP).content.decode()


def test_order_form_sent_twice_is_one_order(alice_client: Client, credit: Credit) -> None:
    credit("100")
    fields = fields_of(alice_client.get(SHOP, {"mug": "1", "credit": "50"}).content.decode(), ORDERS)

    first, second = alice_client.post(ORDERS, fields), alice_client.post(ORDERS, fields)

    assert first["Location"] == second["Location"]
    assert Payment.objects.get().amount == 50


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"credit": "90"}, "You don't have that much credit to spend here. Use a smaller amount."),
        ({"credit": "86"}, "That's more than your order costs. Use no more credit than the total."),
        ({"credit": ""}, "Choose how much credit to use."),
        ({"mug": "0", "credit": ""}, "Your basket is empty. Choose a product first."),
        ({"key": ""}, "The form was incomplete. This page is up to date; try again."),
    ],
)
def test_refused_order_says_why_and_changes_nothing(
    alice_client: Client, credit: Credit, changed: dict[str, str], words: str
) -> None:
    credit("80")
    fields = fields_of(alice_client.get(SHOP, {"mug": "1", "credit": "50"}).content.decode(), ORDERS)
    if changed.get("credit") == "90":
        changed = changed | {"mug": "2"}

    answer = alice_client.post(ORDERS, fields | changed)

    assert answer["Location"].startswith(SHOP + "?")
    assert message_texts(answer) == [words]
    assert Payment.objects.count() == 0


def test_shop_ships_in_parts_and_then_the_rest(alice_client: Client, credit: Credit) -> None:
    lot = credit("100")
    payment = place(alice_client, mug="2", credit="60")

    act(alice_client, payment, "ship_order", amount="25")
    assert (state_of(alice_client, payment), figures(lot)) == ("PARTLY_CAPTURED", {"available": 40, "held": 35, "spent": 25})
    act(alice_client, payment, "ship_order", amount="")
    assert (state_of(alice_client, payment), figures(lot)) == ("CAPTURED", {"available": 40, "spent": 60})


def test_cancelled_order_releases_the_credit(alice_client: Client, credit: Credit) -> None:
    lot = credit("100")
    payment = place(alice_client, mug="2", credit="60")

    act(alice_client, payment, "cancel_order")

    assert (state_of(alice_client, payment), figures(lot)) == ("RELEASED", {"available": 100})


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("60.01", "That's more than this order still holds."),
        ("0", "Enter an amount of more than 0, with at most two decimals."),
    ],
)
def test_refused_shipment_says_why(alice_client: Client, credit: Credit, amount: str, words: str) -> None:
    credit("100")
    payment = place(alice_client, mug="2", credit="60")

    answer = act(alice_client, payment, "ship_order", amount=amount)

    assert message_texts(answer) == [words]
    assert state_of(alice_client, payment) == "HELD"


def test_return_is_previewed_and_then_brings_back_what_the_preview_said(alice_client: Client, credit: Credit) -> None:
    lot = credit("100", title="gift")
    payment = place(alice_client, mug="2", credit="60")
    act(alice_client, payment, "ship_order", amount="")

    page = alice_client.get(reverse("shop_order", args=[payment]), {"amount": "20"}).content.decode()

    assert "A return of ₹20.00 brings back" in page
    assert "Can be spent again, without expiry" in page
    assert figures(lot) == {"available": 40, "spent": 60}
    act(alice_client, payment, "return_order", amount="20")
    assert (state_of(alice_client, payment), figures(lot)) == ("PARTLY_REFUNDED", {"available": 60, "spent": 40})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("spent", "words", "left"),
    [
        ("100", "can be spent again for 14 days, until", {"available": 100}),
        ("60", "comes back and ends at once, unspent", {"lapsed": 100}),
    ],
)
def test_preview_says_what_becomes_of_credit_that_has_ended(
    *, alice_client: Client, credit: Credit, open_pool: Callable[..., CreditPool], spent: str, words: str, left: dict[str, int]
) -> None:
    lot = credit("100", pool=open_pool(valid_for="9 days"))
    payment = place(alice_client, lamp="1", credit=spent)
    act(alice_client, payment, "ship_order", amount="")
    end_credit(lot)

    page = alice_client.get(reverse("shop_order", args=[payment]), {"amount": ""}).content.decode()
    act(alice_client, payment, "return_order", amount="")

    assert words in page
    assert figures(lot) == {name: Decimal(value) for name, value in left.items()}


def test_preview_says_what_a_clawback_takes_first(alice_client: Client, ada: User, credit: Credit) -> None:
    lot = credit("100")
    payment = place(alice_client, lamp="1", credit="100")
    act(alice_client, payment, "ship_order", amount="")
    clawback_credit(lot.pk, amount=Decimal(30), reason="mistake", actor=ada)

    preview = alice_client.get(reverse("shop_order", args=[payment]), {"amount": ""}).context["preview"]
    act(alice_client, payment, "return_order", amount="")

    assert [(str(line.outcome), line.amount) for line in preview] == [("TAKEN_BACK", 30), ("SPENDABLE", 70)]
    assert figures(lot) == {"available": 70, "clawed_back": 30}


def test_preview_of_more_than_was_paid_is_refused(alice_client: Client, credit: Credit) -> None:
    credit("100")
    payment = place(alice_client, mug="2", credit="60")
    act(alice_client, payment, "ship_order", amount="")

    answer = alice_client.get(reverse("shop_order", args=[payment]), {"amount": "60.01"})

    assert answer.status_code == 400
    assert "more than can come back from this order" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_order_whose_hold_has_ended_cannot_be_shipped(alice_client: Client, credit: Credit) -> None:
    credit("100")
    payment = place(alice_client, mug="2", credit="60")
    key = fields_of(
        alice_client.get(reverse("shop_order", args=[payment])).content.decode(), reverse("ship_order", args=[payment])
    )
    end_hold(payment)

    answer = alice_client.post(reverse("ship_order", args=[payment]), key)

    assert message_texts(answer) == ["The hold has ended and the credit is back in the wallet. Place a new order."]
    assert "Nothing is left to do for this order." in alice_client.get(answer["Location"]).content.decode()


def test_order_of_another_user_or_shop_is_not_found(
    alice_client: Client, bob_client: Client, credit: Credit, spend: Callable[..., Any]
) -> None:
    credit("100")
    elsewhere = UUID(spend("10").body["id"])
    payment = place(alice_client, mug="1", credit="10")

    for browser, pk in ((bob_client, payment), (alice_client, elsewhere)):
        assert browser.get(reverse("shop_order", args=[pk])).status_code == 404
        for name in ("ship_order", "cancel_order", "return_order"):
            assert browser.post(reverse(name, args=[pk]), {"key": "k" * 20}).status_code == 404
    assert Movement.objects.count() == 2


def test_order_is_told_by_its_reference_alone() -> None:
    basket = Basket({"tea": 2, "lamp": 1})
    reference = basket.reference("k" * 20)

    assert Basket.of_reference(reference) == basket
    assert Basket.of_reference("a reference of others") == Basket({})


@pytest.mark.parametrize(
    ("asked", "queries"),
    [({}, 1), ({"mug": "1"}, 1 + 4)],  # orders; service, what would pay, what would not, titles
)
def test_shop_takes_few_queries_however_many_orders(
    alice_client: Client,
    credit: Credit,
    django_assert_num_queries: DjangoAssertNumQueries,
    asked: dict[str, str],
    queries: int,
) -> None:
    credit("500")
    for _ in range(3):
        place(alice_client, mug="1", credit="10")

    with django_assert_num_queries(2 + queries):  # session, user
        alice_client.get(SHOP, asked)


def test_order_takes_three_queries(
    alice_client: Client, credit: Credit, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    credit("500")
    payment = place(alice_client, mug="1", credit="10")

    with django_assert_num_queries(2 + 3):  # session, user; payment, movements, credits
        alice_client.get(reverse("shop_order", args=[payment]))
