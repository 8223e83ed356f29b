"""Pay an order with credits: hold an amount for a later capture, or spend it at once.

A payment on its way: `pay` → a batcher, in which concurrent payments share one transaction → `payment_sql` (the wallet's turn,
then what is there) → `decide_batch` (pure) → `recording`. A payment alone is a batch of one that waits for its wallet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import OperationalError, transaction

from accounts.models import User
from accounts.services import Service
from kernel.batching import Batcher, RetryIndividually
from kernel.host_turn import HostTurn
from kernel.refusals import Refusal
from kernel.timestamps import format_timestamp
from kernel.transactions import Busy, atomic_with_retry
from kernel.uuid7 import uuid7
from wallet.actions.end_holds import release_holds
from wallet.actions.open_lots import are_lots_missing
from wallet.actions.payment_answers import Answer, replay_key, same_reference
from wallet.actions.payment_checks import (
    DEFAULT_HOLD_SECONDS,
    check_hold,
    check_order_total,
    check_payment_amount,
    check_reference,
)
from wallet.actions.payment_refusals import (
    CreditHeld,
    InsufficientCredit,
    LotsIncomplete,
    TooManyCredits,
    WalletClosed,
    refusals_of_postgresql,
)
from wallet.actions.payment_sql import ALONE, IN_BATCH, lock_and_read, read_holds
from wallet.ledger.allocating import Share, allocate, total
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.movements import MAX_POSTINGS
from wallet.ledger.payment_state import payment_body
from wallet.ledger.recording import NewMovement, record


@dataclass(frozen=True, eq=False)
class PaymentRequest:
    """A payment that is asked for. `actor_id` is the user who asks, None for the service itself."""

    user_id: UUID
    service_id: UUID
    currency: str
    amount: Decimal
    reference: str
    capture: bool
    up_to: bool
    hold_seconds: int | None
    order_total: Decimal | None
    actor_id: UUID | None
    request_key: str | None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        contents = (self.user_id, self.service_id, self.currency, self.amount.normalize(), self.reference, self.capture)
        order_total = self.order_total and self.order_total.normalize()
        digest = fingerprint("payment", *contents, self.up_to, self.hold_seconds, order_total)
        object.__setattr__(self, "fingerprint", digest)  # the class is frozen

    @property
    def names(self) -> set[tuple[Any, ...]]:
        """What identifies the request and its repetitions: the reference, and the key of the caller."""
        by_reference = ("reference", self.service_id, self.user_id, self.reference)
        by_key = ("key", self.actor_id or self.service_id, self.request_key)
        return {by_reference, by_key} if self.request_key else {by_reference}


def pay(
    user: User,
    service: Service,
    *,
    currency: str,
    amount: Decimal,
    reference: str,
    capture: bool = True,
    up_to: bool = False,
    hold_seconds: int | None = None,
    order_total: Decimal | None = None,
    actor: User | None = None,
    key: str | None = None,
) -> Answer:
    """Pay `amount` of the order `reference` of a service from the user's credits; the answer is the payment.

    Arguments:
        capture: spend at once; otherwise hold for `hold_seconds` (30 minutes unless given).
        up_to: pay as much as is available, at least one unit, instead of all or nothing.
        order_total: what the whole order costs, for the record; at least the amount.
        actor: the user who asks; None: the service itself.
        key: the Idempotency-Key; a repetition gets the first answer. The reference alone makes a payment once, too.

    Raises ValidationError, InvalidAmount, InvalidReference, InvalidHold, InsufficientCredit, CreditHeld, TooManyCredits,
    ReferenceUsed, WalletClosed, IdempotencyKeyReused, Busy. A refusal changes nothing, and its key and reference stay free.
    """
    check_payment_amount(amount, currency)
    check_reference(reference)
    if order_total is not None:
        check_order_total(order_total, amount, currency)
    seconds = None if capture else DEFAULT_HOLD_SECONDS if hold_seconds is None else hold_seconds
    if seconds is not None:
        check_hold(seconds)
    request = PaymentRequest(
        user_id=user.pk,
        service_id=service.pk,
        currency=currency,
        amount=amount,
        reference=reference,
        capture=capture,
        up_to=up_to,
        hold_seconds=seconds,
        order_total=order_total,
        actor_id=actor.pk if actor else None,
        request_key=key,
    )
    return submit_payment(request)


def submit_payment(request: PaymentRequest) -> Answer:
    """Submit a request to the batcher and return the answer; raise its refusal, or Busy when no connection was free."""
    try:
        return payment_batcher.submit(request)
    except OperationalError as error:
        raise Busy from error


def pay_batch(requests: Sequence[PaymentRequest]) -> list[Answer | RetryIndividually]:
    """Process payments in one transaction that waits for no wallet; return an outcome for each, in their order.

    Whatever is not plainly paid is left to a payment alone: a wallet in use, a repetition, an ended hold, too little credit.
    """
    with transaction.atomic(durable=True):
        read = lock_and_read(requests, IN_BATCH)
        answers = record_draws(decide_batch(requests, read))
    return [answers.get(request, RetryIndividually()) for request in requests]


@atomic_with_retry(idempotent=True)
def pay_alone(request: PaymentRequest) -> Answer:
    """Process one payment, which waits for its wallet; raise its refusal."""
    read = lock_and_read([request], ALONE)
    if read["ended"]:
        release_holds([row.id for row in read["ended"]])
        read = lock_and_read([request], ALONE)
    if answer := replay_key(read["keys"], request.fingerprint):
        return answer
    if read["references"]:
        (earlier,) = read["references"]
        return same_reference(earlier.id, earlier.fingerprint, request.fingerprint)
    if not all(person.is_active for person in read["people"]):
        raise WalletClosed
    lots = [Share(lot.entry_id, lot.available) for lot in read["lots"]]
    return record_draws({request: draw_exactly(request, lots)})[request]


def draw_exactly(request: PaymentRequest, lots: Sequence[Share]) -> list[Share]:
    """Return what each lot bears of the payment; raise TooManyCredits, LotsIncomplete, CreditHeld or InsufficientCredit."""
    drawable = lots[:MAX_POSTINGS]
    available = total(drawable)
    if available < request.amount and not (request.up_to and available > 0):
        if len(lots) > MAX_POSTINGS:
            raise TooManyCredits(available, request.currency)
        if are_lots_missing():
            raise LotsIncomplete
        raise shortage(request, available, read_holds(request.user_id, request.currency))
    return allocate(drawable, request.amount)


def shortage(request: PaymentRequest, available: Decimal, holds: Sequence[Any]) -> Refusal:
    """Return the refusal for too little credit: it says what is available, and which orders hold the rest until when."""
    if available + sum(hold.held for hold in holds) < request.amount:
        return InsufficientCredit(available, request.currency)
    orders = ", ".join(f"{hold.reference} until {format_timestamp(hold.held_until)}" for hold in holds)
    return CreditHeld(available, request.currency, orders=orders)


def decide_batch(requests: Sequence[PaymentRequest], read: dict[str, list[Any]]) -> dict[PaymentRequest, list[Share]]:
    """Return what each lot bears of each payment that is plainly paid, in their order: a pure function of what was read."""
    draws: dict[PaymentRequest, list[Share]] = {}
    locked = {(wallet.user_id, wallet.currency) for wallet in read["wallets"] if wallet.locked}
    unsure = {row.place for name in ("keys", "references", "ended") for row in read[name]}
    unsure |= {row.place for row in read["people"] if not row.is_active}
    left = {lot.entry_id: lot.available for lot in read["lots"]}
    seen: set[tuple[Any, ...]] = set()
    for place, request in enumerate(requests, start=1):
        if place in unsure or (request.user_id, request.currency) not in locked or request.names & seen:
            continue
        lots = [Share(lot.entry_id, left[lot.entry_id]) for lot in read["lots"] if lot.place == place]
        shares = allocate(lots, request.amount)
        if total(shares) == request.amount:
            draws[request] = shares
            seen |= request.names
            left |= {lot_id: left[lot_id] - amount for lot_id, amount in shares}
    return draws


def record_draws(draws: dict[PaymentRequest, list[Share]]) -> dict[PaymentRequest, Answer]:
    """Record the first movement of each payment and return the answers."""
    with refusals_of_postgresql():
        recorded = record([first_movement(request, shares) for request, shares in draws.items()])
    bodies = (payment_body([movement], movement.at) for movement in recorded)
    return {request: Answer(body) for request, body in zip(draws, bodies, strict=True)}


def first_movement(request: PaymentRequest, shares: list[Share]) -> NewMovement:
    """Return the movement that begins the payment."""
    payment_id = uuid7()
    return NewMovement(
        kind="SPEND" if request.capture else "HOLD",
        id=payment_id,
        payment_id=payment_id,
        user_id=request.user_id,
        currency=request.currency,
        shares=shares,
        service_id=request.service_id,
        reference=request.reference,
        order_total=request.order_total,
        hold_seconds=request.hold_seconds,
        request_key=request.request_key,
        fingerprint=request.fingerprint,
        actor_id=request.actor_id,
    )


payment_batcher: Batcher[PaymentRequest, Answer] = Batcher("payments", pay_batch, pay_alone, turn=HostTurn("payments"))
