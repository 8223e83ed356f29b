"""Release what a payment holds: the order was cancelled, and the credit goes back where it came from."""

from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.transactions import atomic_with_retry
from wallet.actions.operator_audit import audited
from wallet.actions.payment_answers import Answer, body_after, replay_key
from wallet.actions.payment_refusals import AlreadyCaptured, refusals_of_postgresql
from wallet.actions.payment_sql import lock_payment
from wallet.actions.returned_credit import settle_returned_credit
from wallet.ledger.allocating import capture_order
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.payment_state import figures_of, payment_body
from wallet.ledger.recording import NewMovement, record


@audited("payment_release")
@atomic_with_retry(idempotent=True)
def release_payment(
    payment_id: UUID,
    *,
    service: Service | None = None,
    actor: User | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> Answer:
    """Release what the payment holds and return the payment; a payment of which nothing is held or captured stays as it is.

    Arguments:
        reason: why an operator releases it.
        service: the service that asks; None: `actor` does, an operator or the owner, who may release while nothing is captured.
        key: the Idempotency-Key; a repetition gets the first answer.

    Raises PaymentNotFound, AlreadyCaptured, IdempotencyKeyReused, Busy.
    """
    digest = fingerprint("release", payment_id)
    payment = lock_payment(payment_id, service, actor, key)
    if answer := replay_key(payment.keyed, digest):
        return answer
    figures = figures_of(payment.movements)
    is_owner = service is None and actor is not None and not actor.is_admin
    if figures.captured and (is_owner or not figures.held):
        raise AlreadyCaptured
    if not figures.held:
        return Answer(payment_body(payment.movements, payment.now), 200)
    release = NewMovement(
        kind="RELEASE",
        user_id=payment.user_id,
        currency=payment.currency,
        shares=capture_order(payment.parts),
        payment_id=payment_id,
        service_id=payment.service_id,
        reason=reason,
        request_key=key,
        fingerprint=digest,
        actor_id=actor.pk if actor else None,
    )
    with refusals_of_postgresql():
        (recorded,) = record([release])
    settle_returned_credit(share.lot_id for share in release.shares)
    return Answer(body_after(payment_id, recorded.number))
