"""The receipt of a payment: its state, which credits paid and why these, and the proofs of what happened."""

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
from examples.verify_proof import check
from tests.money.conftest import end_hold
from tests.pages.conftest import message_texts
from wallet.actions import seal_ledger
from wallet.actions.capture_payment import capture_payment
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CreditPool
from wallet.ledger import signing
from wallet.ledger.models import Lot, Movement, Payment

Credit = Callable[..., Lot]
Hold = Callable[..., UUID]


def address(payment_id: UUID) -> str:
    return reverse("payment", args=[payment_id])


def shown(browser: Client, payment_id: UUID) -> str:
    answer = browser.get(address(payment_id))
    assert answer.status_code == 200
    return answer.content.decode()


def test_receipt_says_which_credits_paid_and_why_these(
    alice_client: Client, credit: Credit, hold: Hold, open_pool: Callable[..., CreditPool]
) -> None:
    credit("40", title="for ever")
    credit("30", title="ends soon", pool=open_pool(name="short", valid_for="3 days"))
    credit("20", title="asked to go first", pool=open_pool(name="first", draw_priority=1))

    page = shown(alice_client, hold("60", reference="order 7", order_total=Decimal("75.50")))

    places = [page.index(f">{title}</a>") for title in ("asked to go first", "ends soon", "for ever")]
    assert places == sorted(places)
    for words in ("Shop", "order 7", "₹75.50", "Used before other credits", "No expiry, claimed", "₹10.00", "Why these?"):
        assert words in page


def release(payment: UUID, shop: Service) -> None:
    release_payment(payment, service=shop)


def capture_a_part(payment: UUID, shop: Service) -> None:
    capture_payment(payment, shop, amount=Decimal(10), final=False)


def capture(payment: UUID, shop: Service) -> None:
    capture_payment(payment, shop)


def capture_and_refund(amount: str | None) -> Callable[[UUID, Service], None]:
    def run(payment: UUID, shop: Service) -> None:
        capture_payment(payment, shop)
        refund_payment(payment, reference="r", reason="return", amount=Decimal(amount) if amount else None, service=shop)

    return run


@pytest.mark.parametrize(
    ("run", "state", "words"),
    [
        (None, "HELD", ["Held for your order", "Held until", "data-ends"]),
        (capture_a_part, "PARTLY_CAPTURED", ["Paid in part, the rest is held", "₹10.00", "₹50.00"]),
        (capture, "CAPTURED", ["Paid</p>"]),
        (capture_and_refund("15"), "PARTLY_REFUNDED", ["Refunded in part", "₹15.00 came back"]),
        (capture_and_refund(None), "REFUNDED", ["Refunded</p>", "₹60.00 came back"]),
        (release, "RELEASED", ["Cancelled", "Nothing was spent", "₹60.00 came back"]),
    ],
)
def test_receipt_says_in_words_how_far_the_payment_is(
    *,
    alice_client: Client,
    credit: Credit,
    hold: Hold,
    shop: Service,
    run: Callable[[UUID, Service], None] | None,
    state: str,
    words: list[str],
) -> None:
    credit("100")
    payment = hold("60")
    if run:
        run(payment, shop)

    answer = alice_client.get(address(payment))

    assert answer.context["receipt"].state == state
    page = answer.content.decode()
    assert [text for text in words if text not in page] == []


@pytest.mark.django_db(transaction=True)
def test_receipt_of_an_ended_hold_says_so_before_any_sweep(alice_client: Client, credit: Credit, hold: Hold) -> None:
    credit("100")
    payment = hold("60")
    end_hold(payment)

    page = shown(alice_client, payment)

    assert "The hold has ended" in page
    assert "Held until" not in page
    assert Movement.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_each_step_of_a_sealed_payment_has_a_proof_that_verifies(
    alice_client: Client, credit: Credit, hold: Hold, shop: Service
) -> None:
    credit("100")
    payment = hold("60", reference="order 7")
    capture_payment(payment, shop, amount=Decimal(45))
    seal_ledger.seal_all()

    page = shown(alice_client, payment)

    said = []
    for movement in Movement.objects.order_by("number"):
        proof = reverse("movement_proof", args=[movement.pk])
        assert f'href="{proof}"' in page
        said.append(check(alice_client.get(proof).json(), signing.public_key().hex()))
    assert [kind for sentence in said for kind in ("HOLD", "CAPTURE", "RELEASE") if kind in sentence] == [
        "HOLD",
        "CAPTURE",
        "RELEASE",
    ]
    assert all(str(payment) in sentence for sentence in said)


def test_an_unsealed_step_has_no_proof_yet(alice_client: Client, credit: Credit, hold: Hold) -> None:
    credit("100")
    payment = hold("60")

    assert "Verification in progress" in shown(alice_client, payment)
    answer = alice_client.get(reverse("movement_proof", args=[Movement.objects.get().pk]))

    assert answer["Location"] == address(payment)
    assert message_texts(answer) == ["This payment is still being verified. Its proof will be available within a minute."]


def test_payment_of_another_user_is_not_found(
    bob_client: Client, credit: Credit, hold: Hold, client: Client, ada: User
) -> None:
    credit("100")
    payment = hold("60")
    proof = reverse("movement_proof", args=[Movement.objects.get().pk])
    client.force_login(ada)

    for browser in (bob_client, client):
        assert [browser.get(path).status_code for path in (address(payment), proof)] == [404, 404]
    assert bob_client.get(address(uuid4())).status_code == 404


def test_anonymous_request_redirects_to_sign_in(credit: Credit, hold: Hold) -> None:
    credit("100")
    payment = hold("60")

    assert Client().get(address(payment))["Location"] == f"{reverse('sign_in')}?next={address(payment)}"


def test_a_receipt_takes_three_queries_however_many_credits_paid(
    alice_client: Client, credit: Credit, hold: Hold, unlimited: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(60):
        credit("1")
    payment = hold("60")

    with django_assert_num_queries(2 + 3):  # session, user; payment, movements, credits
        page = alice_client.get(address(payment)).content.decode()

    assert page.count("No expiry, claimed") == 50
    assert "The other credits of this payment are in its proof." in page
    assert Payment.objects.count() == 1
