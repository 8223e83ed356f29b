"""Argon2 within limits: a few hashes at a time for each process, at low priority, and never with a pooled connection.

One hash takes 100 MiB and eight threads. Without a limit, a burst of sign-ins takes the machine's memory and time, and
keeps the database connections that claims need. Each slot is a process of its own, because a thread of low priority would
hold up the whole interpreter whenever it is interrupted while it holds its lock.
"""

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections import deque
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils.translation import gettext_noop as _

from kernel.batching import release_connection
from kernel.fallbacks import Fallback
from kernel.refusals import Unavailable

log = logging.getLogger(__name__)
NO_ANSWER = Fallback("password_hashing.no_answer", "a hashing process did not answer and was stopped", log)

WAITING_PER_SLOT = 3  # requests that may wait for one slot: each keeps a thread of the web, which claims need too
WAIT_SECONDS = 2.0  # for a slot
ANSWER_SECONDS = 20.0  # for a hash: on a machine that is busy throughout, it takes much longer than by itself


class HashingBusy(Unavailable):
    code = "busy"
    meaning = _("Too many passwords are being checked. This one was not checked.")
    detail = _("Too many people are asking at this moment. Try again in a few seconds.")
    retry_after = 2


class HashingProcess:
    """One process that hashes; used by one thread at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "accounts.argon2_process"]
        # A process group of its own: Ctrl-C reaches whoever serves, and this ends with its input.
        self.process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )

    def ask(self, **request: Any) -> Any:
        """Return the answer. Raises OSError or ValueError when there is none; then it is of no more use."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answered = select.poll()
        answered.register(self.process.stdout, select.POLLIN)
        if not answered.poll(ANSWER_SECONDS * 1000):
            raise TimeoutError("no answer")
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


class HashingPool:
    """The processes that hash for this one: at most `settings.HASHING_SLOTS`, with a bounded number of callers that wait."""

    def __init__(self) -> None:
        slots = settings.HASHING_SLOTS
        self.slots = threading.BoundedSemaphore(slots)
        self.places = threading.BoundedSemaphore(slots * (1 + WAITING_PER_SLOT))
        self.idle: deque[HashingProcess] = deque()

    def ask(self, **request: Any) -> Any:
        """Return the answer of a process. Raises HashingBusy at once when too many wait, or after WAIT_SECONDS."""
        if not self.places.acquire(blocking=False):
            raise HashingBusy
        try:
            if not self.slots.acquire(timeout=WAIT_SECONDS):
                raise HashingBusy
            try:
                return self.answer(request)
            finally:
                self.slots.release()
        finally:
            self.places.release()

    def answer(self, request: dict[str, Any]) -> Any:
        """Return the answer of an idle process, or of a new one. Raises HashingBusy when it is gone or does not answer."""
        process = None
        try:
            process = self.idle_process()
            found = process.ask(**request)
        except (OSError, ValueError) as error:
            if process:
                process.end()
            NO_ANSWER.record()
            raise HashingBusy from error
        self.idle.append(process)
        return found

    def idle_process(self) -> HashingProcess:
        """Return a process that has nothing to do; start one when there is none."""
        with contextlib.suppress(IndexError):
            return self.idle.pop()
        return HashingProcess()


class LimitedArgon2PasswordHasher(Argon2PasswordHasher):
    """Django's Argon2, limited for every caller: sign-in, registration, changes, the console and commands.

    A caller in a transaction keeps its connection, which the transaction needs.
    """

    pool: ClassVar[HashingPool | None] = None
    pool_lock: ClassVar[threading.Lock] = threading.Lock()

    def encode(self, password: str, salt: str) -> str:
        """Return the hash as it is stored. Raises HashingBusy."""
        params = self.params()
        costs = {name: getattr(params, name) for name in ("time_cost", "memory_cost", "parallelism", "hash_len")}
        return f"{self.algorithm}{self.ask(password=password, salt=salt, costs=costs)}"

    def verify(self, password: str, encoded: str | None) -> bool:
        """Return whether the password has this hash. Raises HashingBusy."""
        return bool(self.ask(password=password, encoded=str(encoded).removeprefix(str(self.algorithm))))

    def ask(self, **request: Any) -> Any:
        """Give this thread's connection back, then hash in a slot. Raises HashingBusy."""
        release_connection()
        return self.process_pool().ask(**request)

    @classmethod
    def process_pool(cls) -> HashingPool:
        """Return this process's pool, made at first use."""
        with cls.pool_lock:
            if cls.pool is None:
                cls.pool = HashingPool()
            return cls.pool

    @classmethod
    def forget_pool(cls) -> None:
        """Begin anew, as a forked process must: what its parent started answers its parent."""
        cls.pool, cls.pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=LimitedArgon2PasswordHasher.forget_pool)
