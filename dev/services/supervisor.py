"""The supervisor, which stops the servers after their last user.

Each process that uses the servers holds a shared lock on one file, which the kernel releases when the process ends. The
supervisor, a detached process, waits for the exclusive lock and stops the servers some seconds after it gets it.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dev.services import paths, postgres, redis
from dev.services.errors import LocalServiceError
from dev.services.paths import CHECKOUT, InstancePaths

# Long enough for one command to follow another without a restart between them.
LINGER_SECONDS = 5.0


def lease_file(instance: InstancePaths) -> Path:
    """Return the file whose shared lock every user of the servers holds."""
    return instance.folder / "users.lock"


def pinned_file(instance: InstancePaths) -> Path:
    """Return the file whose presence keeps the servers up without a user."""
    return instance.folder / "kept-up"


def open_lock(file: Path) -> int:
    """Open `file` for locking, creating it, or raise LocalServiceError."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalServiceError(
            f"Cannot write to {file} ({error.strerror}): set CASHBACK_STATE to a folder of your own."
        ) from None


@contextlib.contextmanager
def startup_lock(instance: InstancePaths) -> Iterator[None]:
    """Hold the lock under which servers are started and stopped."""
    lock = open_lock(instance.folder / "starting.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def ensure_supervisor(instance: InstancePaths) -> None:
    """Start the supervisor unless it is running."""
    lock = open_lock(instance.folder / "supervisor.lock")
    try:
        if _try_exclusive(lock):
            # The mark of an earlier supervisor is no longer valid.
            pinned_file(instance).unlink(missing_ok=True)
            _spawn(instance, lock)
    finally:
        os.close(lock)


def stop_servers(instance: InstancePaths) -> None:
    """Stop the servers that are up."""
    with startup_lock(instance):
        if redis.is_up(instance):
            redis.stop_redis(instance)
        if postgres.is_up(instance):
            postgres.stop_postgres(instance)


def _spawn(instance: InstancePaths, lock: int) -> None:
    file = instance.folder / "supervisor.log"
    # Absolute, because a relative path would be resolved in another working directory.
    state = {"CASHBACK_STATE": str(instance.base), "CASHBACK_LOCAL_PROFILE": instance.profile}
    with file.open("a") as log:
        done = subprocess.run(
            [sys.executable, "-m", "dev.services", str(lock)],
            check=False,
            cwd=CHECKOUT,
            env=os.environ | state,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # The supervisor inherits the lock, so that it always has exactly one owner.
            pass_fds=[lock],
            start_new_session=True,
        )
    if done.returncode != 0:
        raise LocalServiceError(
            f"The supervisor does not start, so no server is started: see {file}, or set DATABASE_URL and REDIS_URL."
        )


def _try_exclusive(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def supervise(instance: InstancePaths, own_lock: int) -> None:
    """Wait until the servers have been unused for some seconds, then stop them and release `own_lock`."""
    linger = float(os.environ.get("CASHBACK_LOCAL_LINGER") or LINGER_SECONDS)
    users = open_lock(lease_file(instance))
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(linger)
        if _is_gone(users, lease_file(instance)):
            return
        if not pinned_file(instance).exists() and _try_exclusive(users):
            break
    stop_servers(instance)
    # Its own lock first: a process that gets the users' lock next must find that there is no supervisor.
    os.close(own_lock)
    os.close(users)


def _is_gone(lock: int, file: Path) -> bool:
    # The folder was removed; a new one at the same path has its own supervisor.
    try:
        return not os.path.samestat(os.fstat(lock), file.stat())
    except OSError:
        return True


def run_supervisor(own_lock: int) -> None:
    """Run a detached supervisor that holds the lock with the descriptor `own_lock`."""
    # The starter waits for this parent only; the orphaned child leaves no zombie.
    if os.fork() == 0:
        supervise(paths.instance_paths(), own_lock)
