"""A turn that the processes of one host take one after the other, so that their batches do not overlap.

While one process has the turn, items arrive in all the others, and their batches grow. The same load then makes batches of
the same size however many processes share it (ADR 13). Correctness never depends on the turn: a process that waited too long,
or whose lock file is gone, runs its batch without it.
"""

import fcntl
import os
import time

from kernel import metric_slots

MAX_WAIT_SECONDS = 0.05  # some batches; a holder that takes longer hangs or is stopped
POLL_SECONDS = 0.0003


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

    def take(self) -> bool:
        """Wait until the turn is free, at most MAX_WAIT_SECONDS; return whether this process has it."""
        if metric_slots.FOLDER_VARIABLE not in os.environ:  # the only process
            return True
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        try:
            while not self.try_lock():
                if time.monotonic() >= deadline:
                    return False
                time.sleep(POLL_SECONDS)
        except OSError:  # the folder is gone, or no descriptor is left: the batch must not fail for it
            return False
        return True

    def try_lock(self) -> bool:
        """Lock the file and return True, or return False if another process has locked it. Raises OSError."""
        if self.descriptor is None:
            path = metric_slots.folder() / f"turn-{self.name}.lock"
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give_back(self) -> None:
        """Let the next process have the turn; nothing happens if this process has none."""
        if self.descriptor is not None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
