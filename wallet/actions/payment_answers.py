"""The answers of payments. A repetition gets the first answer again, made from the movements that were there then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from wallet.actions.payment_refusals import ReferenceUsed
from wallet.actions.payment_sql import CLOCK, MOVEMENTS_OF_PAYMENT
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.ledger.payment_state import payment_body


@dataclass(frozen=True)
class Answer:
    """What an action answers: JSON types, 201 for something new, and 200 for what was there already.

    `replayed` is True when this request was answered before: the body is the first one, letter by letter.
    """

    body: dict[str, Any]
    status_code: int = 201
    replayed: bool = False


def replay_key(keyed: Sequence[Any], fingerprint: str) -> Answer | None:
    """Return the first answer to the request that recorded these movements; None if there are none.

    Raises IdempotencyKeyReused if its contents were different.
    """
    if not keyed:
        return None
    first = keyed[0]
    if first.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Answer(body_after(first.payment_id, first.number), 201, replayed=True)


def body_after(payment_id: UUID, number: int) -> dict[str, Any]:
    """Return the payment as it was after the transaction that recorded the movement `number` of its wallet."""
    movements = read_movements(payment_id)["movements"]
    xid = max(row.xid for row in movements if row.number <= number)
    then = [row for row in movements if row.number <= number or row.xid == xid]
    return payment_body(then, then[-1].at)


def same_reference(payment_id: UUID, recorded: str | None, fingerprint: str) -> Answer:
    """Return the payment that has this reference already, as it is now; raise ReferenceUsed if it was asked for differently."""
    if recorded != fingerprint:
        raise ReferenceUsed
    read = read_movements(payment_id)
    return Answer(payment_body(read["movements"], read["clock"][0].now), 200)


def read_movements(payment_id: UUID) -> dict[str, list[Any]]:
    """Return the movements of a payment by number, and the database's clock."""
    return run_statements({"movements": MOVEMENTS_OF_PAYMENT, "clock": CLOCK}, {"payment": payment_id})
