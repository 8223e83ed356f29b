"""Checks of a payment's arguments, before anything is locked or read."""

import re
from decimal import Decimal

from django.core.exceptions import ValidationError

from wallet.actions.payment_refusals import InvalidAmount, InvalidHold, InvalidReference
from wallet.ledger.movements import MAX_HOLD_DAYS, REFERENCE
from wallet.money import DECIMALS

MIN_HOLD_SECONDS, MAX_HOLD_SECONDS, DEFAULT_HOLD_SECONDS = 60, MAX_HOLD_DAYS * 24 * 3600, 30 * 60
MAX_AMOUNT = Decimal(10) ** 12


def check_payment_amount(amount: Decimal, currency: str) -> None:
    """Raise InvalidAmount unless `amount` is positive, bounded and has no more decimals than its currency: none is rounded."""
    if not amount.is_finite() or not 0 < amount <= MAX_AMOUNT or amount != round(amount, DECIMALS.get(currency, 0)):
        raise InvalidAmount


def check_order_total(total: Decimal, amount: Decimal, currency: str) -> None:
    """Raise InvalidAmount unless `total` is an amount, and ValidationError if it is less than what of it is to be paid."""
    check_payment_amount(total, currency)
    if total < amount:
        message = "The order costs less than the amount to pay. Check both."
        raise ValidationError({"order_total": ValidationError(message, code="min_value")})


def check_reference(reference: str) -> None:
    """Raise InvalidReference unless PostgreSQL would accept the reference."""
    if not re.fullmatch(REFERENCE.strip("^$"), reference):
        raise InvalidReference


def check_hold(seconds: int) -> None:
    """Raise InvalidHold unless a hold may last so long."""
    if not MIN_HOLD_SECONDS <= seconds <= MAX_HOLD_SECONDS:
        raise InvalidHold
