"""The refusals of payments and of changes to claimed credits, and the constraints by which PostgreSQL raises them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError
from django.utils.translation import gettext_noop as _

from kernel.refusals import BadRequest, Conflict, NotFound, Refusal
from kernel.transactions import Busy, violated_constraint
from wallet.actions.approvals import CONSTRAINT, ApprovalRequired


class PaymentNotFound(NotFound):
    code = "not_found"
    meaning = _("The payment does not exist, or the caller may not see it.")
    detail = _("Payment not found.")


class ClaimNotFound(NotFound):
    code = "not_found"
    meaning = _("The claim does not exist, or the caller may not see it.")
    detail = _("Claim not found.")


class UserNotFound(NotFound):
    code = "not_found"
    meaning = _("No user has the id or email that the request names.")
    detail = _("No user has this id or email. Check it: it is compared as a whole.")


class InvalidAmount(BadRequest):
    code = "invalid_amount"
    meaning = _("The amount is not positive, is too large, or has more decimals than its currency.")
    detail = _("The amount must be more than 0, at most 1,000,000,000,000, and have no more decimals than its currency.")


class InvalidHold(BadRequest):
    code = "invalid_hold"
    meaning = _("A hold lasts from 1 minute to 30 days.")
    detail = _("A hold lasts from 60 to 2592000 seconds.")


class InvalidReference(BadRequest):
    code = "invalid_reference"
    meaning = _("A reference is 1 to 100 printable ASCII characters without spaces at its ends.")
    detail = _("A reference is 1 to 100 printable ASCII characters without spaces at its ends.")


class InsufficientCredit(Conflict):
    code = "insufficient_credit"
    meaning = _("The wallet has less credit than the payment needs.")
    detail = _("There is not enough credit for this payment.")


class CreditHeld(Conflict):
    code = "credit_held"
    meaning = _("The wallet has enough credit, but part of it is held for other orders.")
    detail = _("There is enough credit, but part of it is held for another order.")


class ExceedsHeld(Conflict):
    code = "exceeds_held"
    meaning = _("The capture is larger than what is held.")
    detail = _("This is more than the payment holds. Capture no more than its held amount.")


class HoldExpired(Conflict):
    code = "hold_expired"
    meaning = _("The hold has ended, and its credit is available to the user again.")
    detail = _("This hold has ended. Ask for a new payment.")


class AlreadyCaptured(Conflict):
    code = "already_captured"
    meaning = _("The payment was captured, and nothing of it is held any more.")
    detail = _("This payment was already captured. Refund it to give credit back.")


class AlreadyReleased(Conflict):
    code = "already_released"
    meaning = _("The payment was released, and its credit is available to the user again.")
    detail = _("This payment was already released. Ask for a new payment.")


class ExceedsRefundable(Conflict):
    code = "exceeds_refundable"
    meaning = _("The refund is larger than what was captured and not refunded.")
    detail = _("This is more than can be refunded. Refund no more than the refundable amount of the payment.")


class ReferenceUsed(Conflict):
    code = "reference_used"
    meaning = _("The reference names another payment, refund or grant of this service.")
    detail = _("This reference was used with different contents. Use a reference of its own for each order, refund and grant.")


class WalletClosed(Conflict):
    code = "wallet_closed"
    meaning = _("The account is closed: nothing new is paid from its wallet. Captures, releases and refunds go on.")
    detail = _("This account is closed, so that nothing can be paid from its wallet.")


class TooManyCredits(Conflict):
    code = "too_many_credits"
    meaning = _("The payment would draw on more than 500 credits.")
    detail = _("This payment would need more than 500 credits. Pay a smaller amount, or several payments.")


class ClaimClawedBack(Conflict):
    code = "claim_clawed_back"
    meaning = _("The whole claim was clawed back.")
    detail = _("This claim was already clawed back.")


class ExceedsClaim(Conflict):
    code = "exceeds_claim"
    meaning = _("The clawback is larger than what is left to claw back of the claim.")
    detail = _("This is more than the claim, less what was clawed back before.")


class NotLater(Conflict):
    code = "not_later"
    meaning = _("The credit's new end is not later than its end.")
    detail = _("A credit is only ever extended: choose a time later than its end.")


class CreditEnded(Conflict):
    code = "credit_ended"
    meaning = _("The credit has ended, so that its end can no longer move.")
    detail = _("This credit has ended and can no longer be extended.")


class LotsIncomplete(Busy):
    meaning = _("Credits claimed before an upgrade are being made spendable. Claims go on.")
    detail = _("Payments are not possible for a few minutes during an upgrade. Try again soon.")
    retry_after = 30


# The refusal for each constraint by which PostgreSQL rejects a movement. What another transaction changed since it was read is
# read again: Busy makes the action run once more.
REFUSAL_BY_CONSTRAINT: dict[str, type[Refusal]] = {
    "wallet_closed": WalletClosed,
    "payment_hold_over": HoldExpired,
    "lots_incomplete": LotsIncomplete,
    "posting_lot_spendable": Busy,
    "movement_request_key": Busy,
    "movement_service_request_key": Busy,
    "payment_reference": Busy,
    "movement_refund_reference": Busy,
    "grant_reference": Busy,
    "movement_number": Busy,
    "lot_not_ended": Busy,
    CONSTRAINT: ApprovalRequired,
}


@contextmanager
def refusals_of_postgresql() -> Iterator[None]:
    """Translate the constraint that PostgreSQL reports into its refusal."""
    try:
        yield
    except IntegrityError as error:
        if refusal := REFUSAL_BY_CONSTRAINT.get(violated_constraint(error)):
            raise refusal from error
        raise
