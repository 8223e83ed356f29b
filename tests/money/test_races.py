"""Races of payments in real threads with real connections: nothing is spent twice, and nothing is lost."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Refusal
from kernel.transactions import Busy
from tests.concurrency import at_once
from tests.money.conftest import as_owner, end_hold, figures
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.end_holds import end_due_holds
from wallet.actions.pay import pay
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.ledger.models import Lot, Movement, Payment
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]


def names(outcomes: list[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def until_told(call: Callable[[], Answer]) -> Answer | Refusal:
    """Call again while the server is busy, as a client does."""
    for _ in range(50):
        try:
            return call()
        except Busy:
            continue
        except Refusal as refusal:
            return refusal
    raise AssertionError("busy for ever")


def test_t30_fifty_clients_spend_one_wallet_of_twenty_credits_to_zero(credit: Credit, alice: User, shop: Service) -> None:
    lots = [credit("10") for _ in range(20)]

    def shop_until_empty(client: int) -> list[Any]:
        return [
            until_told(lambda: pay(alice, shop, currency="INR", amount=Decimal(7), reference=f"{client}-{order}"))  # noqa: B023
            for order in range(2)
        ]

    outcomes = [outcome for pair in at_once(shop_until_empty, range(50)) for outcome in pair]  # type: ignore[union-attr]

    assert names(outcomes) == {"Answer": 28, "InsufficientCredit": 72}
    assert sum(figures(lot).get("available", 0) for lot in lots) == 4
    assert Movement.objects.filter(kind="SPEND").count() == 28
    assert violations() == []


def test_t30_is_red_without_the_turn_of_the_wallet(credit: Credit, alice: User, shop: Service) -> None:
    """Without the lock two movements get one number: a unique constraint refuses the second, which was to be shown."""
    credit("1000")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgname LIKE 'pgtrigger_movement_turn%'")
        (definition,) = cursor.fetchone()
        numbered = "CONSTRAINT movement_number UNIQUE (user_id, currency, number)"
        cursor.execute("ALTER TABLE ledger_movement DROP CONSTRAINT movement_number")
        lockless = definition.replace("PERFORM pg_advisory_xact_lock(", "PERFORM length(concat(pg_sleep(0.01), ").replace(
            "NEW.currency::text, 1));", "NEW.currency::text, 1)));"
        )
        assert lockless != definition
        cursor.execute(lockless)
    try:
        insert = (
            "INSERT INTO ledger_movement (id, kind, user_id, currency, amount, payment_id, service_id, reference, channel)"
            " SELECT id, 'SPEND', %s, 'INR', 1, id, %s, id::text, 'sql' FROM (SELECT gen_random_uuid() AS id) AS new"
            " RETURNING number"
        )

        def commit(_: int) -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT entry_id FROM ledger_lot")
                (lot,) = cursor.fetchone()
                cursor.execute("BEGIN")
                cursor.execute(insert.replace("RETURNING number", "RETURNING id, number"), [alice.pk, shop.pk])
                identity, found = cursor.fetchone()
                cursor.execute(
                    "INSERT INTO ledger_posting (movement_id, position, lot_id, amount) VALUES (%s, 1, %s, 1)", [identity, lot]
                )
                cursor.execute("COMMIT")
                return int(found)

        at_once(commit, range(8))
        sentences = violations()
    finally:
        for table in ("posting", "allocation", "payment", "movement"):
            as_owner(f"DELETE FROM ledger_{table}")
        with connection.cursor() as cursor:
            cursor.execute(definition)
            cursor.execute("ALTER TABLE ledger_movement ADD " + numbered)

    assert any(sentence.startswith("I18") for sentence in sentences)


def test_t31_release_and_capture_at_a_barrier_one_wins(credit: Credit, hold: Hold, shop: Service) -> None:
    credit("200")
    payments = [hold("1") for _ in range(20)]
    calls: list[Callable[[], Answer]] = []
    for payment in payments:
        calls += [
            lambda payment=payment: release_payment(payment, service=shop),  # type: ignore[misc]
            lambda payment=payment: capture_payment(payment, shop),  # type: ignore[misc]
        ]

    outcomes = at_once(until_told, calls)

    won = [names(outcomes[place : place + 2]) for place in range(0, len(outcomes), 2)]
    assert {tuple(sorted(pair)) for pair in won} <= {("AlreadyReleased", "Answer"), ("AlreadyCaptured", "Answer")}
    for found in Payment.objects.all():
        assert (found.held, found.captured + found.released) == (0, 1)
    assert violations() == []


def test_t32_holds_that_end_while_they_are_captured_end_once(credit: Credit, hold: Hold, shop: Service) -> None:
    lot = credit("100")
    payments = [hold("2") for _ in range(10)]
    for payment in payments[:5]:
        end_hold(payment)
    calls: list[Callable[[], Any]] = [lambda payment=payment: capture_payment(payment, shop) for payment in payments]  # type: ignore[misc]
    calls += [end_due_holds, end_due_holds]

    at_once(until_told, calls)
    end_due_holds()

    assert figures(lot) == {"available": Decimal(90), "spent": Decimal(10)}
    assert Movement.objects.filter(kind="RELEASE").count() == 5
    assert violations() == []


def test_t33_lost_answers_with_the_same_key_or_the_same_reference_pay_once(credit: Credit, alice: User, shop: Service) -> None:
    lot = credit("100")

    def attempt(number: int) -> Answer:
        key = "a-key-of-16-chars" if number % 2 else f"another-key-number-{number}"
        return pay(alice, shop, currency="INR", amount=Decimal(10), reference="order-1", key=key)

    outcomes = at_once(lambda number: until_told(lambda: attempt(number)), range(16))

    assert {outcome.body["id"] for outcome in outcomes if isinstance(outcome, Answer)} == {str(Payment.objects.get().pk)}
    assert names(outcomes) == {"Answer": 16}
    assert figures(lot) == {"available": Decimal(90), "spent": Decimal(10)}
    assert violations() == []


def test_t34_refunds_by_twenty_clients_never_exceed_what_was_captured(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = UUID(spend("100").body["id"])

    def refund(number: int) -> Answer | Refusal:
        return until_told(
            lambda: refund_payment(payment, service=shop, amount=Decimal(7), reference=f"r-{number}", reason="returned")
        )

    outcomes = at_once(refund, range(20))

    assert names(outcomes) == {"Answer": 14, "ExceedsRefundable": 6}
    assert figures(lot) == {"available": Decimal(98), "spent": Decimal(2)}
    assert violations() == []


def test_t35_a_clawback_against_spending_loses_nothing(credit: Credit, alice: User, ada: User, shop: Service) -> None:
    lots = [credit("10") for _ in range(5)]
    calls: list[Callable[[], Answer]] = [
        lambda number=number: pay(alice, shop, currency="INR", amount=Decimal(6), reference=f"o-{number}")  # type: ignore[misc]
        for number in range(8)
    ]
    calls += [lambda lot=lot: clawback_credit(lot.pk, actor=ada, reason="fraud") for lot in lots]  # type: ignore[misc]

    at_once(until_told, calls)

    for lot in lots:
        found = figures(lot)
        assert found.get("available", 0) == 0
        assert found.get("clawed_back", 0) + lot.clawback_due == 10
    assert violations() == []


def test_t37_one_wallet_and_32_connections_meet_no_error_but_busy(credit: Credit, alice: User, shop: Service) -> None:
    credit("1000")
    outcomes = at_once(
        lambda number: [pay(alice, shop, currency="INR", amount=Decimal(1), reference=f"{number}-{n}") for n in range(5)],
        range(32),
    )

    assert set(names(outcomes)) <= {"list", "Busy", "RequestInProgress"}
    assert Movement.objects.count() == Payment.objects.count() >= 100
    assert violations() == []
