"""A turn that the processes of one host take one after the other, so that their batches do not overlap.

While one process has the turn, items arrive in all the others, and their batches grow. The next turn belongs to the process in
which most items wait. The same load then makes batches of about the same size however many processes share it (ADR 13).

Correctness never depends on the turn: a process that waited too long, or whose lock file is gone, runs its batch without it.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Sized

from kernel import metric_slots

MAX_WAIT_SECONDS = 0.05  # some batches; a holder that takes longer hangs or is stopped
POLL_SECONDS = 0.0003
MAX_YIELD_SECONDS = 0.01  # to processes in which more items wait, one of which may be dead
MAX_PROCESSES = 64  # with more, some share a place
MAX_COUNT = 255  # of one byte


class HostTurn:
    """The turn of this process among the others of its host; without other processes it is always free.

    The turn is a file lock, which the kernel gives back when a process ends, however it ends. One thread of the process at a
    time may take it.

    Arguments:
        name: part of the file's name; processes with the same name and folder take turns.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.descriptor: int | None = None
        # The waiting items of each process, in the lock file once it is open, and this process's place there.
        self.waiting_counts, self.place = memoryview(bytearray(MAX_PROCESSES)), 0

    def take(self, waiting: Sized) -> bool:
        """Wait until the turn is free, at most MAX_WAIT_SECONDS; return whether this process has it.

        Arguments:
            waiting: the items that wait in this process; more may come meanwhile.
        """
        if metric_slots.FOLDER_VARIABLE not in os.environ:  # the only process
            return True
        began = time.monotonic()
        try:
            self.open()
            while not self.is_next(waiting, time.monotonic() - began) or not self.try_lock():
                if time.monotonic() - began >= MAX_WAIT_SECONDS:
                    return False
                time.sleep(POLL_SECONDS)
        except OSError:  # the folder is gone, or no descriptor is left: the batch must not fail for it
            return False
        finally:
            self.waiting_counts[self.place] = 0
        return True

    def open(self) -> None:
        """Open the file that the processes share, unless it is open. Raises OSError."""
        if self.descriptor is None:
            path = metric_slots.folder() / f"turn-{self.name}.lock"
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # With space behind every byte: a process that writes into a mapped file of a full disk is killed.
            os.posix_fallocate(self.descriptor, 0, MAX_PROCESSES)
            self.waiting_counts = memoryview(mmap.mmap(self.descriptor, MAX_PROCESSES))
            self.place = metric_slots.own_slot() % MAX_PROCESSES

    def is_next(self, waiting: Sized, waited: float) -> bool:
        """Publish how many items wait here; return whether this process may have the turn after `waited` seconds.

        It may if no other process has more items, or if it has yielded to them for long enough.
        """
        if waited >= MAX_YIELD_SECONDS:
            # Each process that is alive publishes its count again at its next poll; a dead one does not.
            self.waiting_counts[:] = bytes(MAX_PROCESSES)
        count = min(len(waiting), MAX_COUNT)
        self.waiting_counts[self.place] = count
        return waited >= MAX_YIELD_SECONDS or max(self.waiting_counts) <= count

    def try_lock(self) -> bool:
        """Lock the open file and return True, or return False if another process has locked it. Raises OSError."""
        assert self.descriptor is not None
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give_back(self) -> None:
        """Let the next process have the turn; nothing happens if this process has none."""
        if self.descriptor is not None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
