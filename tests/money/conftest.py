"""A wallet with credits, a shop, and a clock that a test can move: the past of credits and holds is rewritten as the owner."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from wallet.actions.claim import claim_asset
from wallet.actions.pay import pay
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Allocation, Entry, Lot, Movement, Payment, Posting
from wallet.ledger.movement_kinds import DATED_LOT

FIGURES = ("available", "held", "spent", "lapsed", "clawed_back")


@pytest.fixture
def shop(db: None) -> Service:
    return Service.objects.create(name="Shop")


@pytest.fixture
def other_shop(db: None) -> Service:
    return Service.objects.create(name="Other shop")


@pytest.fixture
def credit(issue: Callable[..., CashbackAsset], alice: User) -> Callable[..., Lot]:
    """Claim a credit of that value for alice and return its lot."""

    def make(value: str = "100", user: User | None = None, **fields: Any) -> Lot:
        asset = issue(total_value=Decimal(value), **fields)
        return Lot.objects.get(pk=claim_asset(asset.pk, user or alice).receipt["id"])

    return make


@pytest.fixture
def spend(alice: User, shop: Service) -> Callable[..., Answer]:
    """Pay that much at the shop at once, for an order of its own unless one is named."""

    def make(amount: str, user: User | None = None, **fields: Any) -> Answer:
        given: dict[str, Any] = {"service": shop, "currency": "INR", "reference": f"order-{uuid4().hex}"} | fields
        return pay(user or alice, amount=Decimal(amount), **given)

    return make


@pytest.fixture
def hold(spend: Callable[..., Answer]) -> Callable[..., UUID]:
    """Hold that much and return the payment's id."""

    def make(amount: str, **fields: Any) -> UUID:
        return UUID(spend(amount, capture=False, **fields).body["id"])

    return make


def as_owner(statement: str, *values: Any) -> None:
    """Run SQL as a superuser, with every trigger of ours off, and put them back."""
    names = ("seal", "entry", "movement", "posting", "lot", "payment", "allocation")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(";".join(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in map("ledger_{}".format, names)))
        cursor.execute(statement, values or None)
        cursor.execute("SELECT public.harden_triggers()")


FOLLOW_DATES = f"""
UPDATE ledger_entry AS entry SET spendable_until = lot.spendable_until,
        spendable_from = CASE WHEN lot.spendable_from > lot.opened_at THEN lot.spendable_from END
    FROM ledger_lot AS lot WHERE lot.entry_id = entry.id AND entry.id = %s;
UPDATE ledger_lastingchange AS kept SET amount = (
    SELECT coalesce(sum(available - total), 0) FROM ledger_lot AS lot
    WHERE (lot.user_id, lot.currency) = (kept.user_id, kept.currency) AND NOT {DATED_LOT})
"""


def change_dates(lot: Lot, assignments: str, *values: Any) -> None:
    """Give a lot other dates by SQL, and its claim and the sums of its wallet as if it had always had them."""
    as_owner(f"UPDATE ledger_lot SET {assignments} WHERE entry_id = %s; {FOLLOW_DATES}", *values, lot.pk, lot.pk)


def end_credit(lot: Lot, ago: timedelta = timedelta(seconds=5)) -> datetime:
    """Let a claimed credit have ended so long ago; all that happened before is moved into the past with it."""
    change_dates(
        lot,
        "spendable_until = clock_timestamp() - %s::interval, opened_at = opened_at - interval '1 day',"
        " spendable_from = spendable_from - interval '1 day', moved_at = moved_at - interval '1 day'",
        str(ago),
    )
    lot.refresh_from_db()
    assert lot.spendable_until is not None
    return lot.spendable_until


def end_hold(payment_id: UUID, ago: timedelta = timedelta(0)) -> datetime:
    """Let a hold have ended so long ago."""
    as_owner("UPDATE ledger_payment SET held_until = clock_timestamp() - %s::interval WHERE id = %s", str(ago), payment_id)
    as_owner(
        "UPDATE ledger_movement SET held_until = payment.held_until FROM ledger_payment AS payment"
        " WHERE ledger_movement.id = payment.id AND payment.id = %s",
        payment_id,
    )
    ended = Payment.objects.get(pk=payment_id).held_until
    assert ended is not None
    return ended


def figures(lot: Lot) -> dict[str, Decimal]:
    """Return what of a credit is where, without zeros."""
    lot.refresh_from_db()
    return {name: getattr(lot, name) for name in FIGURES if getattr(lot, name)}


def kinds() -> list[str]:
    """Return the kinds of all movements in the order in which they were recorded."""
    return list(Movement.objects.order_by("xid", "number").values_list("kind", flat=True))


def money() -> list[Any]:
    """Return all rows of money, to be compared before and after what was refused."""
    return [list(table.objects.order_by("pk").values()) for table in (Entry, Movement, Posting, Lot, Payment, Allocation)]


def soon(**later: float) -> datetime:
    return timezone.now() + timedelta(**later)
