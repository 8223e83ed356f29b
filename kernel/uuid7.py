"""UUID version 7: primary keys that sort by their time of creation."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Return a new UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits.

    The application generates ids, so that a row's id is known before its insert and no sequence is shared.
    """
    random = int.from_bytes(os.urandom(10), "big")
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | (random >> 68) << 64 | 2 << 62 | random & (1 << 62) - 1)
