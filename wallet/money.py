"""Currencies and exact amounts. Codes, decimals and symbols are those of CLDR (babel), except where ISO 4217 differs."""

import unicodedata
from decimal import Decimal

from babel.core import get_global
from babel.numbers import format_decimal, get_currency_precision, get_currency_symbol
from django.core.exceptions import ValidationError

# CLDR rounds some currencies to what is used in cash; ISO 4217 (list one, 2026-01-01) decides about the ledger.
ISO_DECIMALS = dict.fromkeys(
    ("AFN", "ALL", "COP", "HUF", "IDR", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "SOS", "SYP", "YER"), 2
) | {"IQD": 3}
NO_TENDER = {"SVC"}  # in ISO 4217, but no longer what CLDR calls the tender of a territory


def current_currencies() -> set[str]:
    """Return the codes that are legal tender somewhere today, and those of NO_TENDER."""
    periods = (period for periods in get_global("territory_currencies").values() for period in periods)
    return {code for code, _, end, is_tender in periods if end is None and is_tender} | NO_TENDER


CURRENCIES = sorted(current_currencies())
# Changing this changes checks of the database: a release of babel with other currencies needs a migration.
DECIMALS = {code: get_currency_precision(code) for code in CURRENCIES} | ISO_DECIMALS
NO_DECIMALS = [code for code in CURRENCIES if DECIMALS[code] == 0]
THREE_DECIMALS = [code for code in CURRENCIES if DECIMALS[code] == 3]

# Maximum value of a credit, in units of its currency, against mistyped zeros.
MAX_VALUE = Decimal(1_000_000_000)

THOUSANDS, LAKHS = "#,##0", "#,##,##0"  # 1,234,567.00 and 12,34,567.00


def check_currency(currency: str) -> None:
    """Raise ValidationError unless `currency` is an ISO 4217 code in capitals."""
    if currency not in DECIMALS:
        raise ValidationError(f'"{currency}" is not a currency code. Use an ISO 4217 code such as INR.', code="currency")


def check_amount(amount: Decimal, currency: str) -> None:
    """Raise ValidationError unless `amount` is positive, within MAX_VALUE and has no more decimals than its currency."""
    if not amount.is_finite() or not 0 < amount <= MAX_VALUE:
        raise ValidationError(f"The value must be more than 0 and at most {MAX_VALUE}.", code="amount_range")
    places = DECIMALS[currency]
    if amount != round(amount, places):
        raise ValidationError(f"An amount in {currency} has at most {places} decimals.", code="amount_scale")


def format_amount(amount: Decimal, currency: str) -> str:
    """Return `amount` with exactly its currency's decimals, e.g. "100.00" for INR, "100" for JPY."""
    return f"{amount:.{DECIMALS[currency]}f}"


def format_amount_grouped(amount: Decimal, currency: str, *, lakhs: bool = False) -> str:
    """Return the amount with grouped digits: INR in lakhs, other currencies in thousands unless `lakhs` is True."""
    places = DECIMALS[currency]
    grouping = LAKHS if lakhs or currency == "INR" else THOUSANDS
    return format_decimal(amount, f"{grouping}.{'0' * places}" if places else grouping, locale="en")


def currency_symbol(currency: str) -> str | None:
    """Return the symbol that no other currency has in English, such as ₹ or A$; None for a currency written by its code."""
    symbol = get_currency_symbol(currency, locale="en")
    return symbol if unicodedata.category(symbol[-1]) == "Sc" else None
