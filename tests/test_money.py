"""Currencies by ISO 4217, whatever CLDR says, and exact amounts."""

from decimal import Decimal

import pytest

from wallet.money import CURRENCIES, DECIMALS, NO_TENDER, currency_symbol, format_amount, format_amount_grouped

# ISO 4217, list one, published 2026-01-01: the currencies of countries whose minor unit is not 2.
ISO_WITHOUT_DECIMALS = {
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"),
    *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
}
ISO_WITH_THREE = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
# Currencies whose decimals CLDR leaves out, because no such coins are in use: the ledger keeps them.
CASH_ONLY_IN_CLDR = {"AFN", "ALL", "COP", "HUF", "IDR", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "SOS", "SYP", "YER"}
NO_CURRENCIES = {
    *("XAU", "XAG", "XTS", "XXX", "XDR", "CLF", "CHE", "CHW", "COU", "MXV", "USN", "UYI", "UYW", "BOV"),
    *("XSU", "XUA", "BGN", "HRK", "ANG", "ZWL", "CUC", "DEM", "inr"),
}


def test_the_decimals_of_every_currency_are_those_of_iso_4217() -> None:
    expected = {code: 0 if code in ISO_WITHOUT_DECIMALS else 3 if code in ISO_WITH_THREE else 2 for code in CURRENCIES}

    assert expected == DECIMALS
    assert {DECIMALS[code] for code in CASH_ONLY_IN_CLDR} == {2}
    assert set(CURRENCIES) >= ISO_WITHOUT_DECIMALS | ISO_WITH_THREE | CASH_ONLY_IN_CLDR | NO_TENDER


def test_funds_metals_and_former_currencies_are_no_currencies() -> None:
    assert len(CURRENCIES) == 154
    assert not NO_CURRENCIES & set(CURRENCIES)


@pytest.mark.parametrize(
    ("amount", "currency", "lakhs", "text"),
    [
        ("1234567.5", "INR", False, "12,34,567.50"),
        ("1234567.5", "USD", False, "1,234,567.50"),
        ("1234567.5", "USD", True, "12,34,567.50"),
        ("1234567", "JPY", False, "1,234,567"),
        ("1234.567", "KWD", False, "1,234.567"),
        ("0.05", "INR", False, "0.05"),
        ("-1234.5", "EUR", False, "-1,234.50"),
        ("99999999999999999999.99", "INR", False, "9,99,99,99,99,99,99,99,99,999.99"),
    ],
)
def test_amounts_are_grouped_and_exact(amount: str, currency: str, lakhs: bool, text: str) -> None:
    assert format_amount_grouped(Decimal(amount), currency, lakhs=lakhs) == text


def test_an_amount_of_the_api_has_the_decimals_of_its_currency() -> None:
    assert [format_amount(Decimal(100), code) for code in ("INR", "JPY", "KWD", "HUF")] == [
        "100.00",
        "100",
        "100.000",
        "100.00",
    ]


def test_a_symbol_belongs_to_one_currency() -> None:
    symbols = [symbol for code in CURRENCIES if (symbol := currency_symbol(code))]

    assert len(symbols) == len(set(symbols))
    assert [currency_symbol(code) for code in ("INR", "USD", "AUD", "KWD", "XAF")] == ["₹", "$", "A$", None, None]
