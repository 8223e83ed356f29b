"""Argon2 hashing with limits: few hashes at a time per process, at low priority, without holding a pooled connection.

One hash takes 100 MiB and eight threads. Without a limit, a burst of sign-ins would exhaust memory and CPU, and hold the
database connections that claims need. Each slot is a separate process, because a low-priority thread would block the whole
interpreter whenever it is preempted while it holds the GIL.
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

MAX_WAITING_PER_SLOT = 3  # requests that may wait for one slot: each occupies a web thread, which claims need too
SLOT_TIMEOUT_SECONDS = 2.0
HASH_TIMEOUT_SECONDS = 20.0  # on a busy machine a hash takes much longer than on an idle one


class HashingBusy(Unavailable):
    code = "busy"
    meaning = _("Too many passwords are being checked. This one was not checked.")
    detail = _("We're very busy right now. Try again in a few seconds.")
    retry_after = 2


class HashingProcess:
    """One hashing process; used by one thread at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "accounts.argon2_process"]
        # In a separate process group, Ctrl-C does not reach it: it exits at the end of its input.
        self.process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )

    def call(self, **request: Any) -> Any:
        """Return the result of one request. Raises OSError or ValueError without one; the process must then be killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        poller = select.poll()
        poller.register(self.process.stdout, select.POLLIN)
        if not poller.poll(HASH_TIMEOUT_SECONDS * 1000):
            raise TimeoutError("no answer")
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill the process and wait for its exit."""
        self.process.kill()
        self.process.communicate()


class HashingPool:
    """The hashing processes of this process: at most settings.HASHING_SLOTS, with a bounded number of waiting callers."""

    def __init__(self) -> None:
        slots = settings.HASHING_SLOTS
        self.slots = threading.BoundedSemaphore(slots)
        self.callers = threading.BoundedSemaphore(slots * (1 + MAX_WAITING_PER_SLOT))
        self.idle: deque[HashingProcess] = deque()

    def call(self, **request: Any) -> Any:
        """Return the result of a process. Raises HashingBusy at once if too many wait, or after SLOT_TIMEOUT_SECONDS."""
        if not self.callers.acquire(blocking=False):
            raise HashingBusy
        try:
            if not self.slots.acquire(timeout=SLOT_TIMEOUT_SECONDS):
                raise HashingBusy
            try:
                return self._call_process(request)
            finally:
                self.slots.release()
        finally:
            self.callers.release()

    def _call_process(self, request: dict[str, Any]) -> Any:
        """Return the result of an idle or new process. Raises HashingBusy if it died or did not respond in time."""
        process = None
        try:
            process = self._idle_process()
            result = process.call(**request)
        except (OSError, ValueError) as error:
            if process:
                process.kill()
            NO_ANSWER.record()
            raise HashingBusy from error
        self.idle.append(process)
        return result

    def _idle_process(self) -> HashingProcess:
        """Return an idle process, or start one."""
        with contextlib.suppress(IndexError):
            return self.idle.pop()
        return HashingProcess()


class LimitedArgon2PasswordHasher(Argon2PasswordHasher):
    """Django's Argon2 hasher with limits for all callers: sign-in, registration, changes, the console and commands.

    A caller in a transaction keeps its connection, which the transaction needs.
    """

    pool: ClassVar[HashingPool | None] = None
    pool_lock: ClassVar[threading.Lock] = threading.Lock()

    def encode(self, password: str, salt: str) -> str:
        """Return the hash in Django's stored form. Raises HashingBusy."""
        params = self.params()
        costs = {name: getattr(params, name) for name in ("time_cost", "memory_cost", "parallelism", "hash_len")}
        return f"{self.algorithm}{self._call(password=password, salt=salt, costs=costs)}"

    def verify(self, password: str, encoded: str | None) -> bool:
        """Return whether the password matches the hash. Raises HashingBusy."""
        return bool(self._call(password=password, encoded=str(encoded).removeprefix(str(self.algorithm))))

    def _call(self, **request: Any) -> Any:
        release_connection()
        return self.process_pool().call(**request)

    @classmethod
    def process_pool(cls) -> HashingPool:
        """Return this process's pool, which is created at first use."""
        with cls.pool_lock:
            if cls.pool is None:
                cls.pool = HashingPool()
            return cls.pool

    @classmethod
    def forget_pool(cls) -> None:
        """Drop the pool after a fork: the parent's hashing processes respond to the parent."""
        cls.pool, cls.pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=LimitedArgon2PasswordHasher.forget_pool)
