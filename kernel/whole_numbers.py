"""Whole numbers as text: one notation for request bodies, query strings, forms, command lines and environment variables."""

import re

# A bound on the digits, so that a value always fits PostgreSQL's bigint or is refused by the caller's range.
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
INVALID_WHOLE_NUMBER = "Enter a whole number in digits 0-9, e.g. 25."


def parse_whole_number(text: str, minimum: int | None = None) -> int:
    """Return a whole number of plain digits; raise ValueError for anything else (1_0, ٢, +2, " 2", 2.0, 1e3) or a lower one."""
    if not WHOLE_NUMBER.fullmatch(text):
        raise ValueError(INVALID_WHOLE_NUMBER)
    number = int(text)
    if minimum is not None and number < minimum:
        raise ValueError(f"Enter a whole number of at least {minimum}.")
    return number
