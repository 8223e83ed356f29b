"""Numbered slots for the processes that share one folder of metrics (PROMETHEUS_MULTIPROC_DIR).

A process holds its slot by a file lock, which the kernel releases when the process ends, however it ends. The next process
takes the slot and continues its counters, so that counters do not fall and files do not pile up when workers are replaced.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Not on a disk: a process that writes into a mapped file while its disk is full is killed (SIGBUS).
MEMORY = Path("/dev/shm")  # noqa: S108
TEMPORARY = "cashback-metrics-"
# The files of a slot and their bytes, which are allocated at once for the same reason.
ALLOCATED = {"counter": 1 << 16, "histogram": 1 << 18, "gauge_max": 1 << 16, "gauge_livesum": 1 << 16}
OWNER_LOCK = "owner.lock"
ABANDONED_SECONDS = 60.0  # a folder this old has an owner that holds its lock, or none


class HeldSlot:
    """The slot of this process: its number and the open lock file; none until the process first asks for it."""

    number: int | None = None
    descriptor: int | None = None


def prepare_folder() -> None:
    """Make the folder and remove what processes that are gone left in it. For the parent of several processes, at its start.

    Without PROMETHEUS_MULTIPROC_DIR the folder is a temporary one, which this process removes at its end.
    """
    if not os.environ.get(FOLDER_VARIABLE):
        os.environ[FOLDER_VARIABLE] = make_temporary_folder()
    folder().mkdir(parents=True, exist_ok=True)
    for number in known_slots():
        remove_files_of_free_slot(number, "*")


def make_temporary_folder() -> str:
    """Make a folder for this process and those that it forks, and remove the folders that killed processes left."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for abandoned in parent.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # of another user, or being removed
            if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                os.close(lock_file(abandoned / OWNER_LOCK))
                shutil.rmtree(abandoned)
    made = tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-", dir=parent)
    lock_file(Path(made) / OWNER_LOCK)  # held until the last of the processes ends
    atexit.register(remove_folder, Path(made), os.getpid())
    return made


def remove_folder(made: Path, owner: int) -> None:
    """Remove the folder in the process that made it: a forked process inherits the handler."""
    if os.getpid() == owner:
        shutil.rmtree(made, ignore_errors=True)


def folder() -> Path:
    """Return the folder that the processes share."""
    return Path(os.environ[FOLDER_VARIABLE])


def own_slot() -> int:
    """Return the number of this process's slot; the first call takes the lowest free one."""
    if HeldSlot.number is None:
        HeldSlot.number, HeldSlot.descriptor = take_free_slot()
    return HeldSlot.number


def take_free_slot() -> tuple[int, int]:
    """Lock the lowest free slot and return its number and lock file. Its gauges of a live process are removed."""
    folder().mkdir(parents=True, exist_ok=True)
    for number in count(1):
        if (descriptor := lock_slot(number)) is not None:
            remove_files(number, "gauge_live*")
            allocate_files(number)
            return number, descriptor
    raise AssertionError("unreachable: count never ends")


def allocate_files(number: int) -> None:
    """Make the files of a slot, where they do not exist, with disk space behind every byte."""
    for kind, size in ALLOCATED.items():
        path = folder() / f"{kind}_{number}.db"
        if not path.exists():
            new = path.with_suffix(".new")
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            new.rename(path)


def lock_slot(number: int) -> int | None:
    """Return the locked file of a slot; None if a process holds it."""
    try:
        return lock_file(folder() / f"slot-{number}.lock")
    except BlockingIOError:
        return None


def lock_file(path: Path) -> int:
    """Open and lock a file and return its descriptor; raise BlockingIOError if another process holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def known_slots() -> Iterator[int]:
    """Yield the number of each slot that was ever taken."""
    for path in folder().glob("slot-*.lock"):
        yield int(path.stem.removeprefix("slot-"))


def remove_files_of_free_slot(number: int, kind: str) -> None:
    """Remove the files of this kind (a pattern) if no process holds the slot."""
    if (descriptor := lock_slot(number)) is not None:
        remove_files(number, kind)
        os.close(descriptor)


def remove_files(number: int, kind: str) -> None:
    """Remove the files of a slot that the caller has locked."""
    for path in folder().glob(f"{kind}_{number}.db"):
        path.unlink(missing_ok=True)


def readable_files() -> list[str]:
    """Return the files of all slots, without the gauges of processes that are gone."""
    for number in known_slots():
        if any(folder().glob(f"gauge_live*_{number}.db")):
            remove_files_of_free_slot(number, "gauge_live*")
    with suppress(FileNotFoundError):
        return [str(path) for path in folder().glob("*.db") if is_used(path)]
    return readable_files()  # a file was removed meanwhile


def is_used(path: Path) -> bool:
    """Return whether the file has a value: its first four bytes are the length of what is used."""
    with path.open("rb") as file:
        return any(file.read(4))


def forget_slot_of_parent() -> None:
    """Release the slot that this process inherited by fork, which stays the parent's."""
    if HeldSlot.descriptor is not None:
        os.close(HeldSlot.descriptor)
    HeldSlot.number = HeldSlot.descriptor = None


os.register_at_fork(after_in_child=forget_slot_of_parent)
