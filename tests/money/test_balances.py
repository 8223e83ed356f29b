"""A wallet's balances: what can be spent now, what is held, what is pending; now and as of any time."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import end_credit, end_hold
from wallet.actions import seal_ledger
from wallet.actions.capture_payment import capture_payment
from wallet.actions.end_holds import end_due_holds
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, Movement
from wallet.queries.wallet_balances import wallet_balances

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]
OpenPool = Callable[..., CreditPool]


def clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def balances(user: User, as_of: datetime | None = None) -> dict[str, tuple[Any, ...]]:
    """Return balance, available, held and pending per currency."""
    names = ("balance", "available", "held", "pending")
    return {line["currency"]: tuple(line[name] for name in names) for line in wallet_balances(user.pk, as_of)}


def plan_nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of a plan and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from plan_nodes(child)


def test_balances_are_per_currency(
    *, credit: Credit, spend: Spend, hold: Hold, open_pool: OpenPool, alice: User, bob: User
) -> None:
    credit("100"), credit("500", currency="JPY"), credit("7", user=bob)
    credit("20", pool=open_pool(pending_for="7 days"))
    spend("30")
    hold("25")

    assert balances(alice) == {"INR": (90, 45, 25, 20), "JPY": (500, 500, 0, 0)}
    assert balances(alice, clock()) == balances(alice)


def test_a_user_without_credit_has_no_balance(credit: Credit, spend: Spend, alice: User) -> None:
    assert balances(alice) == {}
    credit("100")
    spend("100")
    assert balances(alice) == balances(alice, clock()) == {}


def test_what_ends_within_a_week_is_named(credit: Credit, open_pool: OpenPool, alice: User) -> None:
    lot = credit("30", pool=open_pool(name="Soon", valid_for="6 days"))
    credit("50", pool=open_pool(name="Later", valid_for="8 days")), credit("100")

    (line,) = wallet_balances(alice.pk)

    assert (line["ending_soon"], line["ending_at"]) == (30, lot.spendable_until)
    (then,) = wallet_balances(alice.pk, clock())
    assert then == line


def test_the_clock_counts_before_and_after_the_sweep(
    credit: Credit, spend: Spend, hold: Hold, alice: User, shop: Service
) -> None:
    ended, other = credit("100"), credit("50")
    payment = hold("120")
    end_hold(payment)
    end_credit(ended)
    before = balances(alice)

    assert before == {"INR": (50, 50, 0, 0)}
    assert end_due_holds() + lapse_ended_credits() >= 1
    assert balances(alice) == before
    assert other.total == 50


def test_a_balance_as_of_a_time_never_changes(credit: Credit, spend: Spend, hold: Hold, alice: User, shop: Service) -> None:
    steps: list[Callable[[], object]] = [
        lambda: credit("100"),
        lambda: spend("30"),
        lambda: hold("20"),
        lambda: capture_payment(Movement.objects.get(kind="HOLD").id, shop, amount=Decimal(5), final=False),
        lambda: refund_payment(
            Movement.objects.get(kind="SPEND").id, service=shop, amount=Decimal(10), reference="r", reason="returned"
        ),
        lambda: credit("1"),
    ]
    seen = []
    for step in steps:
        step()
        seen.append((clock(), balances(alice)))

    assert [balance["INR"] for _, balance in seen] == [
        (100, 100, 0, 0),
        (70, 70, 0, 0),
        (70, 50, 20, 0),
        (65, 50, 15, 0),
        (75, 60, 15, 0),
        (76, 61, 15, 0),
    ]
    assert [balances(alice, at) for at, _ in seen] == [balance for _, balance in seen]


def test_a_balance_now_reads_neither_the_history_nor_credits_without_dates(
    credit: Credit, spend: Spend, open_pool: OpenPool, alice: User
) -> None:
    for _ in range(30):
        credit("1")
        spend("1")
    for _ in range(30):
        credit("1")
    credit("5", pool=open_pool(valid_for="6 days"))
    seal_ledger.seal_all()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_lot; ANALYZE ledger_payment; ANALYZE ledger_entry; SET enable_seqscan = off")
    with CaptureQueriesContext(connection) as asked:
        assert balances(alice) == {"INR": (35, 35, 0, 0)}

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked[0]['sql']}")
        plan = cursor.fetchone()[0][0]["Plan"]
        cursor.execute("RESET enable_seqscan")
    assert len(asked) == 1
    read = {node["Relation Name"]: node["Actual Rows"] for node in plan_nodes(plan) if "Relation Name" in node}
    assert read.keys() >= {"ledger_lot", "ledger_entry", "ledger_sealedbalance", "ledger_lastingchange"}
    assert "ledger_movement" not in read
    assert max(read.values()) <= 1
