"""Five wrong implementations of payments. The checker must detect each of them."""

import threading
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from dev.chaos.payment_load import as_application, create_wallets
from dev.payment_race import mutant
from dev.payment_race.transport import CURRENCY
from dev.race import scratch_database
from dev.race.fixture import RaceFixture
from wallet.ledger.allocating import Share
from wallet.ledger.models import Lot
from wallet.ledger.recording import NewMovement, record

DROP_CHECKS = """
DO $$
DECLARE rule record;
BEGIN
    FOR rule IN SELECT conname AS name FROM pg_constraint WHERE conrelid = 'ledger_allocation'::regclass AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE ledger_allocation DROP CONSTRAINT %I', rule.name);
    END LOOP;
END $$
"""


class Wallet:
    """One wallet of a scratch database, whose movements are recorded as a mutant would: without asking any action."""

    def __init__(self, lots: int) -> None:
        made = create_wallets(wallets=1, lots=lots)
        self.service, self.user = made.service, made.shared[0]
        self.lots = list(Lot.objects.filter(user_id=self.user).order_by("opened_at", "entry").values_list("pk", flat=True))

    def move(self, kind: str, *parts: tuple[int, int], **fields: Any) -> UUID:
        """Record a movement that takes so much from the lots with these numbers; return its id."""
        shares = [Share(self.lots[lot], Decimal(amount)) for lot, amount in parts]
        movement = NewMovement(kind, UUID(self.user), CURRENCY, shares, service_id=UUID(self.service), **fields)
        with transaction.atomic():
            record([movement])
        return movement.id

    def begin(self, kind: str, *parts: tuple[int, int], **fields: Any) -> UUID:
        """Record the first movement of a payment; return the payment's id."""
        number = NewMovement(kind, UUID(self.user), CURRENCY, []).id
        return self.move(kind, *parts, id=number, payment_id=number, **{"reference": str(number)} | fields)


def execute(statement: str) -> None:
    """Run a statement in the scratch database."""
    scratch_database.require_scratch_database()
    with connection.cursor() as cursor:
        cursor.execute(statement)


def without_wallet_lock(_: RaceFixture) -> list[Any]:
    """Pay twice with the same credit, without the wallet's lock and the check of the lot."""
    wallet = Wallet(1)
    mutant.remove_guards()

    def pay(number: int) -> None:
        transport = mutant.UnlockedPayments(wallet.service)
        transport.pay(wallet.user, 7, f"order {number}", f"key-of-the-order-{number}", capture=True)
        transport.close()

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return []


def without_allocation_check(_: RaceFixture) -> list[Any]:
    """Refund to one credit more than it bore of the payment; credit and payment themselves are within their bounds."""
    wallet = Wallet(2)
    execute(DROP_CHECKS)
    payment = wallet.begin("SPEND", (0, 10), (1, 4))
    wallet.begin("SPEND", (1, 6))
    wallet.move("REFUND", (1, 8), payment_id=payment, reference="refund", reason="returned")
    return []


def without_reference(_: RaceFixture) -> list[Any]:
    """Lose the answer and pay again with a fresh key: nothing knows the order's reference."""
    wallet = Wallet(2)
    execute("DROP INDEX payment_reference")
    for attempt in range(2):
        wallet.begin("SPEND", (attempt, 7), reference="order", request_key=f"fresh-key-number-{attempt}")
    return []


def without_hold_clock(_: RaceFixture) -> list[Any]:
    """Capture after the end of the hold."""
    wallet = Wallet(1)
    with connection.cursor() as cursor:
        cursor.execute(mutant.TURN)
        (definition,) = cursor.fetchone()
    clockless = definition.replace("NEW.kind = 'CAPTURE' AND payment.held_until <= NEW.at", "false")
    assert clockless != definition
    execute(clockless)
    payment = wallet.begin("HOLD", (0, 7), hold_seconds=1)
    time.sleep(1.1)
    wallet.move("CAPTURE", (0, 7), payment_id=payment)
    return []


def writable_states(_: RaceFixture) -> list[Any]:
    """Give spent credit back with an UPDATE by the application, without a movement."""
    wallet = Wallet(1)
    wallet.begin("SPEND", (0, 7))
    execute("GRANT UPDATE ON ledger_lot TO cashback_app")
    with as_application():
        execute("UPDATE ledger_lot SET available = available + 5, spent = spent - 5 WHERE spent > 0")
    return []


# The mutant, its function, and the invariant that must detect it.
MONEY_MUTANTS = {
    "wallet's lock removed": (without_wallet_lock, "I14"),
    "allocation unchecked": (without_allocation_check, "I16"),
    "reference forgotten": (without_reference, "I19"),
    "hold's clock not asked": (without_hold_clock, "I16"),
    "states writable": (writable_states, "I13"),
}
