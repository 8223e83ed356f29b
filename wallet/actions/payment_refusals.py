"""The refusals of payments and of changes to claimed credits, and the constraints by which PostgreSQL raises them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

from django.db import IntegrityError
from django.utils.translation import gettext_noop as _

from kernel.refusals import BadRequest, Conflict, NotFound, Refusal
from kernel.transactions import Busy, violated_constraint
from wallet.actions.approvals import CONSTRAINT, ApprovalRequired
from wallet.money import format_amount


class PaymentNotFound(NotFound):
    code = "not_found"
    meaning = _("The payment does not exist, or the caller may not see it.")
    detail = _("Payment not found. See the list of payments.")


class ClaimNotFound(NotFound):
    code = "not_found"
    meaning = _("The claim does not exist, or the caller may not see it.")
    detail = _("Claim not found. Check its id.")


class UserNotFound(NotFound):
    code = "not_found"
    meaning = _("No user has the id or email that the request names.")
    detail = _("User not found. Check the id or email, which is compared as a whole.")


class InvalidAmount(BadRequest):
    code = "invalid_amount"
    meaning = _("The amount is not positive, is too large, or has more decimals than its currency.")
    detail = _("Send an amount of more than 0, at most 1,000,000,000,000, with no more decimals than its currency has.")


class InvalidHold(BadRequest):
    code = "invalid_hold"
    meaning = _("The hold is shorter than 1 minute or longer than 30 days.")
    detail = _("Choose a hold of 60 to 2,592,000 seconds.")


class InvalidReference(BadRequest):
    code = "invalid_reference"
    meaning = _("The reference is empty, too long, or has characters that are not allowed.")
    detail = _("Use a reference of 1 to 100 printable ASCII characters without spaces at its ends.")


class AvailableAmount:
    """A refusal that says how much is possible: `sentence` for the caller, with amount and currency for {available}."""

    sentence: ClassVar[str]
    members: Mapping[str, Any]

    def __init__(self, amount: Decimal, currency: str, **words: str) -> None:
        available = format_amount(amount, currency)
        super().__init__(self.sentence.format(available=f"{available} {currency}", **words))  # type: ignore[call-arg]
        self.members = {"available": available}


class InsufficientCredit(AvailableAmount, Conflict):
    code = "insufficient_credit"
    meaning = _("The wallet has less credit than the payment needs.")
    detail = _("There is not enough credit for this payment. Pay no more than the available amount with credit.")
    sentence = "Only {available} is available. Pay no more than that with credit."


class CreditHeld(AvailableAmount, Conflict):
    code = "credit_held"
    meaning = _("The wallet has enough credit, but part of it is held for other orders.")
    detail = _(
        "Part of the credit is held for another order. "
        "Pay no more than the available amount, or wait until that hold has ended."
    )
    sentence = "Only {available} is available: the rest is held for {orders}. Pay no more, or wait until a hold has ended."


class ExceedsHeld(AvailableAmount, Conflict):
    code = "exceeds_held"
    meaning = _("The capture is larger than what is held.")
    detail = _("This is more than the payment holds. Capture no more than its held amount.")
    sentence = "This is more than the payment holds. Capture no more than {available}."


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


class ExceedsRefundable(AvailableAmount, Conflict):
    code = "exceeds_refundable"
    meaning = _("The refund is larger than what was captured and not refunded.")
    detail = _("This is more than can be refunded. Refund no more than the refundable amount of the payment.")
    sentence = "This is more than can be refunded. Refund no more than {available}."


class ReferenceUsed(Conflict):
    code = "reference_used"
    meaning = _("The reference names another payment, refund or grant of this service.")
    detail = _("This reference was used with different contents. Use a reference of its own for each order, refund and grant.")


class WalletClosed(Conflict):
    code = "wallet_closed"
    meaning = _("The account is closed: nothing new is paid from its wallet. Captures, releases and refunds go on.")
    detail = _(
        "This account is closed, so nothing can be paid from its wallet or granted to it. Use another account or way to pay."
    )


class TooManyCredits(AvailableAmount, Conflict):
    code = "too_many_credits"
    meaning = _("The payment would draw on more than 500 credits.")
    detail = _("This payment would need more than 500 credits. Pay a smaller amount, or several payments.")
    sentence = "This payment would need more than 500 credits. Pay at most {available} at once, or several payments."


class ClaimClawedBack(Conflict):
    code = "claim_clawed_back"
    meaning = _("The whole claim was clawed back.")
    detail = _("This claim was already clawed back, so nothing of it is left. Grant a new credit if the user should have one.")


class ExceedsClaim(AvailableAmount, Conflict):
    code = "exceeds_claim"
    meaning = _("The clawback is larger than what is left to claw back of the claim.")
    detail = _("This is more than the claim, less what was clawed back before. Claw back no more than what is left.")
    sentence = "This is more than the claim, less what was clawed back before. Claw back no more than {available}."


class NotLater(Conflict):
    code = "not_later"
    meaning = _("The credit's new end is not later than its end.")
    detail = _("A credit is only ever extended: choose a time later than its end.")


class CreditEnded(Conflict):
    code = "credit_ended"
    meaning = _("The credit has ended, so that its end can no longer move.")
    detail = _("This credit has ended and can no longer be extended. Grant a new one instead.")


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
