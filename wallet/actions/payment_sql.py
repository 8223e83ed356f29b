"""What payments lock and read, in one round trip: the wallet's turn first, then what is there after the wait."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.sql import WALLET_LOCK
from kernel.statements import run_statements
from kernel.transactions import BATCH_LOCK_TIMEOUT_MS
from wallet.actions.payment_refusals import PaymentNotFound
from wallet.ledger.allocating import DRAW_ORDER_SQL
from wallet.ledger.movements import MAX_POSTINGS

MOVEMENT = (
    "movement.id, movement.kind, movement.amount, movement.at, movement.user_id, movement.currency, movement.service_id,"
    " movement.payment_id, movement.claim_id, movement.reference, movement.order_total, movement.held_until, movement.number,"
    " movement.shortfall, movement.reason, movement.fingerprint, movement.xid::text::bigint AS xid"
)
# In a fixed order, so that two transactions that take several wallets do not deadlock.
WALLETS = """(SELECT DISTINCT user_id, currency FROM unnest(%(users)s::uuid[], %(currencies)s::text[]) AS w (user_id, currency)
    ORDER BY 1, 2) AS wallet"""
WAIT_FOR_WALLETS = f"""
SELECT wallet.user_id, wallet.currency,
    pg_advisory_xact_lock({WALLET_LOCK.format(user="wallet.user_id", currency="wallet.currency")}) IS NOT NULL AS locked
FROM {WALLETS}"""
TRY_WALLETS = f"""
SELECT wallet.user_id, wallet.currency,
    pg_try_advisory_xact_lock({WALLET_LOCK.format(user="wallet.user_id", currency="wallet.currency")}) AS locked
FROM {WALLETS}"""
ASKED = """unnest(%(users)s::uuid[], %(currencies)s::text[], %(services)s::uuid[], %(references)s::text[], %(keys)s::text[],
    %(actors)s::uuid[]) WITH ORDINALITY AS asked (user_id, currency, service_id, reference, request_key, actor_id, place)"""
BY_KEY = f"""
SELECT asked.place, {MOVEMENT} FROM {ASKED} JOIN ledger_movement AS movement
    ON movement.actor_id = asked.actor_id AND movement.request_key = asked.request_key
UNION ALL
SELECT asked.place, {MOVEMENT} FROM {ASKED} JOIN ledger_movement AS movement
    ON asked.actor_id IS NULL AND movement.actor_id IS NULL AND movement.service_id = asked.service_id
        AND movement.request_key = asked.request_key"""
BY_REFERENCE = f"""
SELECT asked.place, payment.id, movement.fingerprint,
    payment.captured = 0 AND payment.held_until <= clock_timestamp() AS is_over
FROM {ASKED} JOIN ledger_payment AS payment ON payment.service_id = asked.service_id AND payment.user_id = asked.user_id
    AND payment.reference = asked.reference AND payment.is_live
JOIN ledger_movement AS movement ON movement.id = payment.id"""
ENDED_HOLDS = f"""
SELECT asked.place, payment.id FROM {ASKED} JOIN ledger_payment AS payment
    ON payment.user_id = asked.user_id AND payment.currency = asked.currency AND payment.is_held
        AND payment.held_until <= clock_timestamp()"""
ACTIVE = f"SELECT asked.place, person.is_active FROM {ASKED} JOIN accounts_user AS person ON person.id = asked.user_id"
SPENDABLE = """lot.user_id = {user} AND lot.currency = {currency} AND lot.is_open AND lot.clawback_due = 0
            AND lot.spendable_from <= {now} AND (lot.spendable_until IS NULL OR lot.spendable_until > {now})
            AND (lot.service_id IS NULL OR lot.service_id = {service})"""
SPENDABLE_ASKED = SPENDABLE.format(
    user="asked.user_id", currency="asked.currency", service="asked.service_id", now="clock_timestamp()"
)
LOTS = f"""
SELECT asked.place, lot.entry_id, lot.available, lot.spendable_until FROM {ASKED} CROSS JOIN LATERAL (
    SELECT lot.entry_id, lot.available, lot.spendable_until, lot.draw_priority, lot.opened_at FROM ledger_lot AS lot
    WHERE {SPENDABLE_ASKED}
    ORDER BY {DRAW_ORDER_SQL} LIMIT %(most)s
) AS lot ORDER BY asked.place, {DRAW_ORDER_SQL}"""
CLOCK = "SELECT clock_timestamp() AS now"


class Turn(NamedTuple):
    """How payments get their wallets: one alone waits and reads all lots; a batch tries, waits for nothing, and reads a few."""

    statements: dict[str, str]
    most_lots: int


ALONE = Turn({"wallets": WAIT_FOR_WALLETS}, MAX_POSTINGS + 1)
IN_BATCH = Turn({"setting": f"SET LOCAL lock_timeout = {BATCH_LOCK_TIMEOUT_MS}", "wallets": TRY_WALLETS}, 16)


def asked_columns(requests: Sequence[Any]) -> dict[str, Any]:
    """Return one list per column of ASKED."""
    names = {"users": "user_id", "currencies": "currency", "services": "service_id", "references": "reference"}
    names |= {"keys": "request_key", "actors": "actor_id"}
    return {column: [getattr(request, name) for request in requests] for column, name in names.items()}


def lock_and_read(requests: Sequence[Any], turn: Turn) -> dict[str, list[Any]]:
    """Lock the wallets and read what the decision needs: locked, keys, references, ended holds, people and lots."""
    statements = turn.statements | {"keys": BY_KEY, "references": BY_REFERENCE, "ended": ENDED_HOLDS}
    statements |= {"people": ACTIVE, "lots": LOTS, "clock": CLOCK}
    return run_statements(statements, asked_columns(requests) | {"most": turn.most_lots})


def try_wallets(wallets: Sequence[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Lock these wallets except those in use, and return the locked ones."""
    columns = {"users": [user for user, _ in wallets], "currencies": [currency for _, currency in wallets]}
    tried = run_statements({"wallets": TRY_WALLETS}, columns)["wallets"]
    return {(row.user_id, row.currency) for row in tried if row.locked}


def read_spendable(request: Any) -> dict[str, list[Any]]:
    """Return the lots that a payment would draw on now, in order, without a lock; and who the person is."""
    statements = {"people": ACTIVE, "lots": LOTS, "clock": CLOCK}
    return run_statements(statements, asked_columns([request]) | {"most": MAX_POSTINGS + 1})


class LockedPayment(NamedTuple):
    """A payment in its wallet's turn: its movements by number and what each lot bears of it.

    `keyed` and `refunds` are earlier movements of the same key and of the same refund's reference; `now` is by PostgreSQL.
    """

    user_id: UUID
    currency: str
    service_id: UUID
    movements: list[Any]
    parts: list[Any]
    keyed: list[Any]
    refunds: list[Any]
    now: datetime


LOCK_PAYMENT = f"""
SELECT wallet.user_id, wallet.currency, wallet.service_id,
    pg_advisory_xact_lock({WALLET_LOCK.format(user="wallet.user_id", currency="wallet.currency")}) IS NOT NULL AS locked
FROM ledger_payment AS wallet WHERE wallet.id = %(payment)s
    AND (%(service)s::uuid IS NULL OR wallet.service_id = %(service)s)
    AND (%(owner)s::uuid IS NULL OR wallet.user_id = %(owner)s)
"""
MOVEMENTS_OF_PAYMENT = f"""
SELECT {MOVEMENT} FROM ledger_movement AS movement WHERE movement.payment_id = %(payment)s ORDER BY movement.number"""
PARTS = """
SELECT part.lot_id, part.position, part.held, part.captured, part.refunded, lot.spendable_until, lot.renewals, lot.available,
    lot.held AS lot_held, lot.lapsed, lot.refund_grace_days
FROM ledger_allocation AS part JOIN ledger_lot AS lot ON lot.entry_id = part.lot_id WHERE part.payment_id = %(payment)s"""
KEYED = f"""
SELECT {MOVEMENT} FROM ledger_movement AS movement WHERE movement.request_key = %(key)s AND movement.actor_id = %(actor)s
UNION ALL
SELECT {MOVEMENT} FROM ledger_movement AS movement WHERE %(actor)s::uuid IS NULL AND movement.actor_id IS NULL
    AND movement.request_key = %(key)s AND movement.service_id = %(service)s"""
REFUNDS = f"""
SELECT {MOVEMENT} FROM ledger_movement AS movement
WHERE movement.kind = 'REFUND' AND movement.reference = %(reference)s
    AND movement.service_id = (SELECT service_id FROM ledger_payment WHERE id = %(payment)s)"""


def lock_payment(
    payment_id: UUID, service: Service | None, actor: User | None, key: str | None, reference: str | None = None
) -> LockedPayment:
    """Wait for the turn of the payment's wallet and return the payment; raise PaymentNotFound if the caller may not see it.

    A service sees its own payments, an operator all, anyone else their own.
    """
    owner = actor.pk if actor and not service and not actor.is_admin else None
    parameters: dict[str, Any] = {"payment": payment_id, "service": service and service.pk, "owner": owner, "key": key}
    parameters |= {"actor": actor and actor.pk, "reference": reference}
    statements = {"lock": LOCK_PAYMENT, "movements": MOVEMENTS_OF_PAYMENT, "parts": PARTS, "keyed": KEYED}
    statements |= {"refunds": REFUNDS, "clock": CLOCK}
    read = run_statements(statements, parameters)
    if not read["lock"]:
        raise PaymentNotFound
    (wallet,) = read["lock"]
    return LockedPayment(
        user_id=wallet.user_id,
        currency=wallet.currency,
        service_id=wallet.service_id,
        movements=read["movements"],
        parts=read["parts"],
        keyed=read["keyed"],
        refunds=read["refunds"],
        now=read["clock"][0].now,
    )


HELD_FOR = """
SELECT reference, held, held_until FROM ledger_payment
WHERE user_id = %(user)s AND currency = %(currency)s AND is_held AND held_until > clock_timestamp() ORDER BY held_until
"""


def read_holds(user_id: UUID, currency: str) -> list[Any]:
    """Return the holds that have not ended of a wallet: reference, amount and end of each, soonest end first."""
    return run_statements({"holds": HELD_FOR}, {"user": user_id, "currency": currency})["holds"]


def sum_available(lots: Sequence[Any]) -> Decimal:
    """Return what is available in the lots."""
    return sum((lot.available for lot in lots), Decimal(0))
