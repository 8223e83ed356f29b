"""The program of a process that hashes passwords for a web process, at low priority; see accounts/password_hashing.py.

It reads one JSON object a line, answers each with one line, and ends when its input ends: with the process that started it.
It imports nothing but Argon2, so that it starts quickly and stays small.
"""

import json
import os
import sys

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError
from argon2.low_level import hash_secret

# The lowest: each of the eight threads of a hash has a weight of its own, 15 to the 1,024 of a thread that serves.
NICENESS = 19


def hashed(password: str, salt: str, costs: dict[str, int]) -> str:
    """Return the hash of a password in Argon2's own form."""
    return hash_secret(password.encode(), salt.encode(), **costs, type=Type.ID).decode()


def matches(password: str, encoded: str) -> bool:
    """Return whether a password has this hash, which is in Argon2's own form."""
    try:
        return PasswordHasher().verify(encoded, password)
    except VerificationError:
        return False


if __name__ == "__main__":
    os.nice(NICENESS)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # any core: the web process may keep to one
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(hashed(**asked) if "salt" in asked else matches(**asked)), flush=True)  # noqa: T201
