"""Who needs the servers, and who stops them when nobody does.

Each process that uses the servers holds a shared lock on one file; the kernel frees it however the process ends. A
detached process, the supervisor, waits for the same lock exclusively and stops the servers some seconds after it gets it.
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
    """See to it that a supervisor watches over the servers."""
    lock = open_lock(instance.folder / "supervisor.lock")
    try:
        if _try_exclusive(lock):
            # A mark left by a supervisor that is gone says nothing about today.
            pinned_file(instance).unlink(missing_ok=True)
            _spawn(instance, lock)
    finally:
        os.close(lock)


def stop_servers(instance: InstancePaths) -> None:
    """Stop whatever is up."""
    with startup_lock(instance):
        if redis.is_up(instance):
            redis.stop_redis(instance)
        if postgres.is_up(instance):
            postgres.stop_postgres(instance)


def _spawn(instance: InstancePaths, lock: int) -> None:
    file = instance.folder / "supervisor.log"
    # Said outright, because a relative path means something else from another working directory.
    where = {"CASHBACK_STATE": str(instance.base), "CASHBACK_LOCAL_PROFILE": instance.profile}
    with file.open("a") as log:
        done = subprocess.run(
            [sys.executable, "-m", "dev.services", str(lock)],
            check=False,
            cwd=CHECKOUT,
            env=os.environ | where,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # The supervisor inherits the lock itself: there is no moment without an owner and never a second one.
            pass_fds=[lock],
            start_new_session=True,
        )
    if done.returncode != 0:
        raise LocalServiceError(
            f"Nothing would stop the servers, so none is started: see {file}, or set DATABASE_URL and REDIS_URL."
        )


def _try_exclusive(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def supervise(instance: InstancePaths, own_lock: int) -> None:
    """Wait until nobody has used the servers for a while, then stop them and let go of `own_lock`."""
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
    # First its own lock, then the users': who attaches next must find that there is no supervisor.
    os.close(own_lock)
    os.close(users)


def _is_gone(lock: int, file: Path) -> bool:
    # Somebody removed the folder; what stands in its instance now is not this supervisor's to stop.
    try:
        return not os.path.samestat(os.fstat(lock), file.stat())
    except OSError:
        return True


def run_supervisor(own_lock: int) -> None:
    """Become a detached supervisor that holds the lock with the descriptor `own_lock`."""
    # The starter waits for this parent; the child belongs to nobody and leaves no zombie behind.
    if os.fork() == 0:
        supervise(paths.instance_paths(), own_lock)
