"""Currencies and exact amounts. Source of codes and minor units: ISO 4217, list one."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import numberformat

TWO_DECIMALS = [
    "AED",
    "AFN",
    "ALL",
    "AMD",
    "AOA",
    "ARS",
    "AUD",
    "AWG",
    "AZN",
    "BAM",
    "BBD",
    "BDT",
    "BMD",
    "BND",
    "BOB",
    "BRL",
    "BSD",
    "BTN",
    "BWP",
    "BYN",
    "BZD",
    "CAD",
    "CDF",
    "CHF",
    "CNY",
    "COP",
    "CRC",
    "CUP",
    "CVE",
    "CZK",
    "DKK",
    "DOP",
    "DZD",
    "EGP",
    "ERN",
    "ETB",
    "EUR",
    "FJD",
    "FKP",
    "GBP",
    "GEL",
    "GHS",
    "GIP",
    "GMD",
    "GTQ",
    "GYD",
    "HKD",
    "HNL",
    "HTG",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "IRR",
    "JMD",
    "KES",
    "KGS",
    "KHR",
    "KPW",
    "KYD",
    "KZT",
    "LAK",
    "LBP",
    "LKR",
    "LRD",
    "LSL",
    "MAD",
    "MDL",
    "MGA",
    "MKD",
    "MMK",
    "MNT",
    "MOP",
    "MRU",
    "MUR",
    "MVR",
    "MWK",
    "MXN",
    "MYR",
    "MZN",
    "NAD",
    "NGN",
    "NIO",
    "NOK",
    "NPR",
    "NZD",
    "PAB",
    "PEN",
    "PGK",
    "PHP",
    "PKR",
    "PLN",
    "QAR",
    "RON",
    "RSD",
    "RUB",
    "SAR",
    "SBD",
    "SCR",
    "SDG",
    "SEK",
    "SGD",
    "SHP",
    "SLE",
    "SOS",
    "SRD",
    "SSP",
    "STN",
    "SVC",
    "SYP",
    "SZL",
    "THB",
    "TJS",
    "TMT",
    "TOP",
    "TRY",
    "TTD",
    "TWD",
    "TZS",
    "UAH",
    "USD",
    "UYU",
    "UZS",
    "VES",
    "WST",
    "XCD",
    "XCG",
    "YER",
    "ZAR",
    "ZMW",
    "ZWG",
]
NO_DECIMALS = ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"]
THREE_DECIMALS = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]

DECIMALS = dict.fromkeys(TWO_DECIMALS, 2) | dict.fromkeys(NO_DECIMALS, 0) | dict.fromkeys(THREE_DECIMALS, 3)
CURRENCIES = sorted(DECIMALS)

# Maximum value of a credit, in units of its currency, against mistyped zeros.
MAX_VALUE = Decimal(1_000_000_000)

THOUSANDS, LAKHS = 3, (3, 2, 0)  # 1,234,567.00 and 12,34,567.00


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
    grouping = LAKHS if lakhs or currency == "INR" else THOUSANDS
    return numberformat.format(
        amount, ".", DECIMALS[currency], grouping=grouping, thousand_sep=",", force_grouping=True, use_l10n=False
    )
