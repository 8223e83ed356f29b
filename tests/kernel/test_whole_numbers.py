"""Whole numbers as text."""

import pytest

from kernel.whole_numbers import parse_whole_number


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("0", 0), ("007", 7), ("-5", -5), ("9" * 18, 10**18 - 1)])
def test_plain_digits_are_a_whole_number(text: str, number: int) -> None:
    assert parse_whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "1_0", "+2", " 2", "2 ", "2\n", "2.0", "1e3", "1,000", "٢", "२", "²", "２", "0x10", "--2", "9" * 19, "9" * 5000],
)
def test_any_other_notation_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="Enter a whole number in digits"):
        parse_whole_number(text)


def test_a_number_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        parse_whole_number("0", minimum=1)
