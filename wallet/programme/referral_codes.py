"""Codes with which people invite friends: short, and without letters and digits that look like each other."""

import re
import secrets

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"  # no 0, 1, I, O and U; a code spells nothing with U by chance
LENGTH = 8
CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


def new_code() -> str:
    """Return a new code of 39 random bits: a guess hits one of a million codes once in 850,000."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
