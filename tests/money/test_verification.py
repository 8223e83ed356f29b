"""The checker finds what was done to money behind PostgreSQL's back, and calls nothing red that was done openly."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import as_owner
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.extend_lot import extend_lot
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, Movement
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Wallet:
    """A wallet in which everything happened."""

    lots: list[Lot]
    spent: UUID
    captured: UUID
    held: UUID


@pytest.fixture
def wallet(
    *,
    credit: Callable[..., Lot],
    spend: Callable[..., Answer],
    hold: Callable[..., UUID],
    open_pool: Callable[..., CreditPool],
    shop: Service,
    ada: User,
) -> Wallet:
    lots = [credit("100", pool=open_pool(valid_for="2 days")), credit("100"), credit("50"), credit("500", currency="JPY")]
    spent = UUID(spend("120", reference="order-1").body["id"])
    captured = hold("40", reference="order-2")
    capture_payment(captured, shop, amount=Decimal(25))
    held, released = hold("20", reference="order-3"), hold("10", reference="order-4")
    release_payment(released, service=shop)
    lots.append(credit("10"))
    refund_payment(spent, service=shop, amount=Decimal(50), reference="return-1", reason="returned")
    clawback_credit(lots[2].pk, amount=Decimal(20), actor=ada, reason="mistake")
    assert lots[0].spendable_until is not None
    extend_lot(lots[0].pk, until=lots[0].spendable_until + timedelta(days=1), actor=ada, reason="goodwill")
    return Wallet(lots, spent, captured, held)


def found() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def invariants_found() -> set[str]:
    return {sentence.partition(":")[0] for sentence in found()}


def test_what_was_done_openly_is_no_harm(wallet: Wallet) -> None:
    assert found() == []


TAMPERED = {
    "a posting's amount": (
        "UPDATE ledger_posting SET amount = amount + 1 WHERE position = 1 AND movement_id = '{spent}'",
        "I12",
    ),
    "a posting to another wallet": ("UPDATE ledger_posting SET lot_id = '{yen}' WHERE movement_id = '{held}'", "I12"),
    "a movement's amount": ("UPDATE ledger_movement SET amount = amount + 1 WHERE id = '{spent}'", "I12"),
    "a deleted posting": ("DELETE FROM ledger_posting WHERE movement_id = '{held}'", "I12"),
    "a credit's figures": (
        "UPDATE ledger_lot SET available = available + 1, spent = spent - 1 WHERE entry_id = '{lot}'",
        "I13",
    ),
    "what a clawback is owed": ("UPDATE ledger_lot SET clawback_total = clawback_total + 1 WHERE entry_id = '{lot}'", "I13"),
    "a payment's figures": (
        "UPDATE ledger_payment SET captured = captured - 1, released = released + 1 WHERE id = '{spent}'",
        "I13",
    ),
    "a payment's reference": ("UPDATE ledger_payment SET reference = 'other' WHERE id = '{spent}'", "I13"),
    "a hold's end": ("UPDATE ledger_payment SET held_until = held_until + interval '1 day' WHERE id = '{held}'", "I13"),
    "an allocation": (
        "UPDATE ledger_allocation SET held = held - 1, released = released + 1 WHERE payment_id = '{held}' AND held > 0",
        "I13",
    ),
    "a wallet's sum of what moved": ("UPDATE ledger_lastingchange SET amount = amount + 1", "I13"),
    "a deleted payment": ("DELETE FROM ledger_payment WHERE id = '{spent}'", "I13"),
    "a deleted movement": (
        "DELETE FROM ledger_posting WHERE movement_id = '{held}'; DELETE FROM ledger_movement WHERE id = '{held}'",
        "I18",
    ),
    "a refund before its payment": (
        "UPDATE ledger_movement SET at = at - interval '1 hour' WHERE kind = 'REFUND'",
        "I14",
    ),
    "a payment after the end": (
        "UPDATE ledger_entry SET spendable_until = claimed_at WHERE id = '{lot}'",
        "I15",
    ),
    "a payment before it could be spent": (
        "UPDATE ledger_lot SET spendable_from = now() + interval '1 day' WHERE entry_id = '{lot}'",
        "I15",
    ),
    "a payment at another service": ("UPDATE ledger_lot SET service_id = gen_random_uuid() WHERE entry_id = '{lot}'", "I15"),
    "a capture after the hold": ("UPDATE ledger_movement SET held_until = at WHERE id = '{captured}'", "I16"),
    "a credit passed over": (
        "UPDATE ledger_lot SET draw_priority = 1, opened_at = opened_at - interval '1 hour',"
        " spendable_from = spendable_from - interval '1 hour' WHERE entry_id = '{spare}'",
        "I17",
    ),
    "a gap in the numbers": (
        "UPDATE ledger_movement SET number = number + 1 WHERE number = (SELECT max(number) FROM ledger_movement)",
        "I18",
    ),
    "a lapse before the end": (
        "UPDATE ledger_movement SET kind = 'LAPSE', shortfall = NULL WHERE kind = 'CLAWBACK'",
        "I20",
    ),
    "a hold that nobody ended": (
        "UPDATE ledger_payment SET held_until = now() - interval '11 minutes' WHERE id = '{held}'",
        "I20",
    ),
    "a claim without its credit": ("DELETE FROM ledger_lot WHERE entry_id = '{yen}'", "I23"),
    "a credit that ends otherwise": ("UPDATE ledger_lot SET spendable_until = NULL WHERE entry_id = '{lot}'", "I23"),
    "value from nowhere": (
        "UPDATE ledger_lot SET total = total + 1, available = available + 1 WHERE entry_id = '{yen}'",
        "I24",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_it_is_found(wallet: Wallet, what: str) -> None:
    statement, invariant = TAMPERED[what]
    names = {"lot": wallet.lots[0].pk, "spare": wallet.lots[4].pk, "yen": wallet.lots[3].pk}

    as_owner(statement.format(**names, spent=wallet.spent, captured=wallet.captured, held=wallet.held))

    assert invariant in invariants_found()


@pytest.mark.parametrize(
    ("index", "statement"),
    [
        ("payment_reference", "UPDATE ledger_payment SET reference = 'order-1'"),
        (
            "movement_refund_reference",
            "UPDATE ledger_movement SET kind = 'REFUND', reference = 'return-1', reason = '-' WHERE kind = 'SPEND'",
        ),
    ],
)
def test_a_reference_used_twice_is_found(wallet: Wallet, index: str, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [index])
        (definition,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {index}")
    as_owner(statement)

    invariants = invariants_found()

    as_owner("UPDATE ledger_payment SET reference = id::text")
    as_owner("UPDATE ledger_movement SET reference = id::text WHERE kind = 'REFUND'")
    with connection.cursor() as cursor:
        cursor.execute(definition)
    assert "I19" in invariants
    assert Movement.objects.count() > 0
