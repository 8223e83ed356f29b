"""Payments without the wallet's lock: violations that the checker must detect.

It is not part of the product, which has no switch for its lock, and `remove_guards` refuses any database but a scratch
database.
"""

import time
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from dev.payment_race.transport import CURRENCY, DirectPayments, PaymentResponse, to_response
from dev.race import scratch_database
from wallet.actions.pay import PaymentRequest, draw_exactly, record_draws
from wallet.actions.payment_answers import Answer, replay_key, same_reference
from wallet.actions.payment_sql import WALLETS, Turn, lock_and_read
from wallet.ledger.allocating import Share
from wallet.ledger.movements import MAX_POSTINGS

WINDOW_SECONDS = 0.1  # between reading and writing, so that two payments read the same credit every time
READ_WALLETS = f"SELECT wallet.user_id, wallet.currency, true AS locked FROM {WALLETS}"  # noqa: S608  (made of a constant)
UNLOCKED = Turn({"wallets": READ_WALLETS}, MAX_POSTINGS + 1)
TURN = "SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgname LIKE 'pgtrigger_movement_turn_%'"
LOCK = "PERFORM pg_advisory_xact_lock"


class UnlockedPayments(DirectPayments):
    """Reads what is there, waits, and writes without having kept others out."""

    def pay(self, user: str, amount: int, reference: str, key: str, *, capture: bool) -> PaymentResponse:
        """Call the mutant of pay."""
        request = PaymentRequest(
            user_id=UUID(user),
            service_id=self.service.pk,
            currency=CURRENCY,
            amount=Decimal(amount),
            reference=reference,
            capture=capture,
            up_to=False,
            hold_seconds=None if capture else 600,
            order_total=None,
            actor_id=None,
            request_key=key,
        )
        return to_response(lambda: pay_without_lock(request))


def pay_without_lock(request: PaymentRequest) -> Answer:
    """Process one payment by reading first and writing later."""
    with transaction.atomic():
        read = lock_and_read([request], UNLOCKED)
        if answer := replay_key(read["keys"], request.fingerprint):
            return answer
        if read["references"]:
            return same_reference(read["references"][0].id, read["references"][0].fingerprint, request.fingerprint)
        shares = draw_exactly(request, [Share(lot.entry_id, lot.available) for lot in read["lots"]])
        time.sleep(WINDOW_SECONDS)
        return record_draws({request: shares})[request]


def remove_guards() -> None:
    """Remove the wallet's lock and number, and the checks of lots; raise RuntimeError outside a scratch database."""
    scratch_database.require_scratch_database()
    with connection.cursor() as cursor:
        cursor.execute(TURN)
        (definition,) = cursor.fetchone()
        start, lock, rest = definition.partition(LOCK)
        assert lock
        cursor.execute(f"{start}PERFORM {rest}")
        cursor.execute("ALTER TABLE ledger_movement DROP CONSTRAINT movement_number")
        cursor.execute("ALTER TABLE ledger_lot DROP CONSTRAINT lot_available")
