"""The program of the low-priority processes that hash passwords for a web process (accounts.password_hashing).

It reads one JSON object per line, writes one line for each, and exits at the end of its input, that is, with its parent. It
imports only Argon2, so that it starts quickly and stays small.
"""

import json
import os
import sys

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError
from argon2.low_level import hash_secret

# The lowest priority: each of the eight threads of a hash has a scheduler weight of 15; a thread that serves has 1,024.
NICENESS = 19


def hash_password(password: str, salt: str, costs: dict[str, int]) -> str:
    """Return the hash in Argon2's encoded form."""
    return hash_secret(password.encode(), salt.encode(), **costs, type=Type.ID).decode()


def is_match(password: str, encoded: str) -> bool:
    """Return whether the password matches the hash in Argon2's encoded form."""
    try:
        return PasswordHasher().verify(encoded, password)
    except VerificationError:
        return False


if __name__ == "__main__":
    os.nice(NICENESS)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # any core, because the web process may be pinned to one
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(hash_password(**request) if "salt" in request else is_match(**request)), flush=True)  # noqa: T201
