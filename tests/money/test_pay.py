"""An order is paid with credits, at once or by a hold."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import figures, kinds, money
from wallet.actions.pay import PaymentRequest, pay_batch
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import (
    CreditHeld,
    InsufficientCredit,
    InvalidAmount,
    InvalidHold,
    InvalidReference,
    ReferenceUsed,
    WalletClosed,
)
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.ledger.models import Allocation, Lot, Movement, Payment, Posting

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]


def test_a_payment_at_once_spends_the_credit(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")

    answer = spend("60.50", reference="order-1")

    assert figures(lot) == {"available": Decimal("39.50"), "spent": Decimal("60.50")}
    assert answer.status_code == 201
    assert {name: answer.body[name] for name in ("state", "amount", "held", "captured", "refundable")} == {
        "state": "CAPTURED",
        "amount": "60.50",
        "held": "0.00",
        "captured": "60.50",
        "refundable": "60.50",
    }
    assert (answer.body["service"], answer.body["reference"]) == (str(shop.pk), "order-1")


def test_a_hold_keeps_the_credit_until_its_end(credit: Credit, spend: Spend) -> None:
    lot = credit("100")

    answer = spend("60", capture=False, hold_seconds=600)

    payment = Payment.objects.get()
    assert figures(lot) == {"available": Decimal(40), "held": Decimal(60)}
    assert answer.body["state"] == "HELD"
    assert payment.held_until is not None
    assert round((payment.held_until - payment.began_at).total_seconds()) == 600


def test_a_payment_is_one_movement_with_a_posting_for_each_lot(credit: Credit, spend: Spend) -> None:
    lots = [credit("10"), credit("10"), credit("10")]

    spend("25")

    movement = Movement.objects.get()
    assert (movement.kind, movement.amount, movement.number) == ("SPEND", Decimal(25), 1)
    assert list(Posting.objects.order_by("position").values_list("lot_id", "amount")) == [
        (lots[0].pk, Decimal(10)),
        (lots[1].pk, Decimal(10)),
        (lots[2].pk, Decimal(5)),
    ]
    assert Allocation.objects.count() == 3


def test_the_movements_of_a_wallet_are_numbered_without_gaps(credit: Credit, spend: Spend, bob: User) -> None:
    credit("100"), credit("100", user=bob), credit("500", currency="JPY")
    for _ in range(3):
        spend("10")
    spend("10", user=bob)
    spend("10", currency="JPY")

    assert sorted(Movement.objects.values_list("number", flat=True)) == [1, 1, 1, 2, 3]


def test_a_payment_alone_costs_two_round_trips(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("1")

    with CaptureQueriesContext(connection) as asked:
        spend("1")

    assert len([query for query in asked if query["sql"] not in ("BEGIN", "COMMIT")]) == 2


@pytest.mark.parametrize("amount", ["0", "-5", "0.001", "NaN", "Infinity", "1000000000001"])
def test_an_amount_of_nothing_or_with_too_many_decimals_is_refused(credit: Credit, spend: Spend, amount: str) -> None:
    credit("100")
    with pytest.raises(InvalidAmount):
        spend(amount)
    assert kinds() == []


@pytest.mark.parametrize("seconds", [0, 59, 30 * 24 * 3600 + 1])
def test_a_hold_lasts_from_a_minute_to_thirty_days(credit: Credit, spend: Spend, seconds: int) -> None:
    credit("100")
    with pytest.raises(InvalidHold):
        spend("1", capture=False, hold_seconds=seconds)


@pytest.mark.parametrize("reference", ["", " order", "order ", "ordér", "a\nb", "x" * 101])
def test_a_reference_is_printable_ascii(credit: Credit, spend: Spend, reference: str) -> None:
    credit("100")
    with pytest.raises(InvalidReference):
        spend("1", reference=reference)


def test_more_than_there_is_is_refused_and_says_what_is_available(credit: Credit, spend: Spend) -> None:
    credit("100")
    before = money()
    with pytest.raises(InsufficientCredit, match=r"100\.00 INR"):
        spend("100.01")
    assert money() == before


def test_credit_that_is_held_is_named_with_its_order(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("60", capture=False, reference="first-tab")
    before = money()
    with pytest.raises(CreditHeld, match="first-tab until"):
        spend("50")
    assert money() == before


def test_a_closed_account_pays_nothing(credit: Credit, spend: Spend, alice: User) -> None:
    credit("100")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    before = money()
    with pytest.raises(WalletClosed):
        spend("10")
    assert money() == before


def test_the_same_reference_and_content_is_the_same_payment(credit: Credit, spend: Spend) -> None:
    credit("100")
    first = spend("10", reference="order-1")

    again = spend("10", reference="order-1")

    assert again == Answer(first.body, 200)
    assert kinds() == ["SPEND"]


@pytest.mark.parametrize("other", [{"amount": "11"}, {"capture": False}, {"up_to": True}, {"order_total": Decimal(500)}])
def test_the_same_reference_with_other_content_is_refused(credit: Credit, spend: Spend, other: dict[str, Any]) -> None:
    credit("100")
    spend("10", reference="order-1")
    before = money()
    with pytest.raises(ReferenceUsed):
        spend(**{"amount": "10", "reference": "order-1"} | other)
    assert money() == before


def test_the_same_reference_is_free_at_another_service_and_for_another_user(
    credit: Credit, spend: Spend, other_shop: Service, bob: User
) -> None:
    credit("100"), credit("100", user=bob)
    for fields in ({}, {"service": other_shop}, {"user": bob}):
        spend("10", reference="order-1", **fields)
    assert kinds() == ["SPEND"] * 3


def test_the_same_key_gets_the_first_answer_letter_by_letter(credit: Credit, spend: Spend, shop: Service) -> None:
    credit("100")
    first = spend("10", reference="order-1", key="a-key-of-16-chars")

    again = spend("10", reference="order-1", key="a-key-of-16-chars")

    assert again == Answer(first.body, 201, replayed=True)
    assert list(again.body) == list(first.body)


def test_the_same_key_for_another_payment_is_refused(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("10", reference="order-1", key="a-key-of-16-chars")
    with pytest.raises(IdempotencyKeyReused):
        spend("10", reference="order-2", key="a-key-of-16-chars")


def test_two_callers_may_use_the_same_key(credit: Credit, spend: Spend, other_shop: Service, alice: User, ada: User) -> None:
    credit("100")
    for fields in ({}, {"service": other_shop}, {"actor": alice}, {"actor": ada}):
        spend("10", key="a-key-of-16-chars", **fields)
    assert kinds() == ["SPEND"] * 4


def test_payments_that_arrive_together_share_a_transaction(
    credit: Credit, make_users: Callable[[int], list[User]], shop: Service
) -> None:
    users = make_users(3)
    for user in users:
        credit("10", user=user)
    names: dict[str, Any] = {"currency": "INR", "capture": True, "up_to": False, "hold_seconds": None}
    names |= {"order_total": None, "actor_id": None}
    asked = [(users[0], "4", "a"), (users[0], "4", "b"), (users[0], "4", "c"), (users[1], "10", "d"), (users[2], "11", "e")]
    requests = [
        PaymentRequest(user_id=user.pk, service_id=shop.pk, amount=Decimal(amount), reference=name, request_key=None, **names)
        for user, amount, name in asked
    ]

    outcomes = pay_batch(requests)

    assert [isinstance(outcome, Answer) for outcome in outcomes] == [True, True, False, True, False]
    assert Movement.objects.values("xid").distinct().count() == 1
    assert sorted(Movement.objects.filter(user=users[0]).values_list("number", flat=True)) == [1, 2]


def request_for(user: User, shop: Service, **fields: Any) -> PaymentRequest:
    """Return a request for 1 INR at once; anything else is named."""
    given: dict[str, Any] = {"amount": Decimal(1), "reference": "order-1", "currency": "INR", "capture": True}
    given |= {"up_to": False, "hold_seconds": None, "order_total": None, "actor_id": None, "request_key": None}
    return PaymentRequest(user_id=user.pk, service_id=shop.pk, **given | fields)


def test_a_repetition_within_a_batch_is_left_to_a_payment_alone(credit: Credit, alice: User, shop: Service) -> None:
    credit("10")
    twice = pay_batch([request_for(alice, shop), request_for(alice, shop)])
    same_key = pay_batch(
        [request_for(alice, shop, reference=name, request_key="a-key-of-16-chars") for name in ("order-2", "order-3")]
    )

    for outcomes in (twice, same_key):
        assert [isinstance(outcome, Answer) for outcome in outcomes] == [True, False]
    assert kinds() == ["SPEND", "SPEND"]


def test_a_batch_that_reads_a_few_credits_reads_those_that_come_first(
    credit: Credit, spend: Spend, open_pool: Callable[..., Any]
) -> None:
    for _ in range(17):
        credit("1")
    first = credit("1", pool=open_pool(draw_priority=1))

    spend("1")

    assert figures(first) == {"spent": Decimal(1)}
