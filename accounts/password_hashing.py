"""Argon2 within limits: a few hashes at a time in each process, at low priority, and never with a pooled connection.

One hash takes 100 MiB and both cores for a moment. Without a limit, a burst of sign-ins takes the machine's memory and
time, and keeps the database connections that claims need.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, TypeVar

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts.refusals import Refusal
from accounts.together import give_back_connection

T = TypeVar("T")

WAITING_PER_SLOT = 3  # requests that may wait for one slot: each keeps a thread of the web, which claims need too
WAIT_SECONDS = 2.0
NICENESS = 10  # a tenth of the processor time of a thread that claims, when both want it


class HashingBusy(Refusal):
    """Too many passwords are being checked at this moment; nothing was decided about this one."""

    code = "busy"
    detail = "Too many people are asking at this moment. Try again in a few seconds."
    retry_after = 2


class HashingPool:
    """The threads of one process that hash; `settings.HASHING_SLOTS` of them, and a bounded number of callers that wait.

    Argon2 releases the interpreter, so that threads suffice. They are started when they are first needed.
    """

    def __init__(self) -> None:
        slots = settings.HASHING_SLOTS
        self.threads = ThreadPoolExecutor(slots, "hashing", initializer=lower_priority)
        self.places = threading.BoundedSemaphore(slots * (1 + WAITING_PER_SLOT))

    def run(self, hash_password: Callable[[], T]) -> T:
        """Return what `hash_password` returns. Raises HashingBusy at once when too many wait, or after WAIT_SECONDS."""
        if not self.places.acquire(blocking=False):
            raise HashingBusy
        try:
            return result(self.threads.submit(hash_password))
        finally:
            self.places.release()


def result(future: Future[T]) -> T:
    """Return the result; raise HashingBusy when the work has not begun within WAIT_SECONDS."""
    with contextlib.suppress(TimeoutError):
        return future.result(WAIT_SECONDS)
    if future.cancel():
        raise HashingBusy
    return future.result()


def lower_priority() -> None:
    """Let this thread yield to those that serve requests. Linux has a priority for each thread, other systems do not."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class LimitedArgon2PasswordHasher(Argon2PasswordHasher):
    """Django's Argon2, limited for every caller: sign-in, registration, changes, the console and commands.

    A caller in a transaction keeps its connection, which the transaction needs.
    """

    pool: ClassVar[HashingPool | None] = None
    pool_lock: ClassVar[threading.Lock] = threading.Lock()

    def encode(self, password: str, salt: str) -> str:
        """Return the hash as it is stored. Raises HashingBusy."""
        return self.limited(lambda: super(LimitedArgon2PasswordHasher, self).encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        """Return whether the password has this hash. Raises HashingBusy."""
        return self.limited(lambda: super(LimitedArgon2PasswordHasher, self).verify(password, encoded))

    @classmethod
    def limited(cls, hash_password: Callable[[], T]) -> T:
        """Give this thread's connection back, then hash in a slot. Raises HashingBusy."""
        give_back_connection()
        return cls.process_pool().run(hash_password)

    @classmethod
    def process_pool(cls) -> HashingPool:
        """Return this process's pool, made at first use."""
        with cls.pool_lock:
            if cls.pool is None:
                cls.pool = HashingPool()
            return cls.pool

    @classmethod
    def forget_pool(cls) -> None:
        """Begin anew in a forked process, which has none of its parent's threads."""
        cls.pool, cls.pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=LimitedArgon2PasswordHasher.forget_pool)
