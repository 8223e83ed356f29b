"""The local PostgreSQL server: create, start, query, stop. Callers hold the startup lock (see supervisor)."""

import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

from dev.services import binaries
from dev.services.errors import LocalServiceError
from dev.services.paths import POSTGRES_MAJOR, InstancePaths, make_folder
from dev.services.sockets import is_listening

ROLE = DATABASE = "cashback"
ENCODING = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "320",
    "shared_buffers": "256MB",
    # On SSDs a random read costs little more than a sequential one.
    "random_page_cost": "1.1",
    # Half of it between two checkpoints: after each, the first change of a page writes the whole page to the log, and a mass
    # expiry or import that brings a checkpoint about every half gigabyte writes most of its pages again and again.
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For profiles that begin with "test": a power failure may lose their data, a killed process may not. Tests change tables and
# triggers all the time, and an autovacuum would hold these up to the lock timeout on a busy machine.
SETTINGS_OF_TESTS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
SEGMENT = 16 * 1024 * 1024  # of the write-ahead log: a server that starts needs room for one
LOG_LIMIT = 8 * 1024 * 1024
START_SECONDS = 60
STOP_SECONDS = 20.0
# The orphaned processes of a killed server need a moment to end.
RETRY_SECONDS = 10


def is_up(instance: InstancePaths) -> bool:
    """Return whether the server accepts connections."""
    return _pid_file(instance)[7:8] == ["ready"] and is_listening(instance.postgres_socket)


def postgres_pid(instance: InstancePaths) -> int | None:
    """Return the process id in the server's pid file; it may be stale when the server is not up."""
    lines = _pid_file(instance)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def start_postgres(instance: InstancePaths) -> None:
    """Start the server, creating role and database the first time; raise LocalServiceError with the log's last word."""
    home = binaries.postgres_home(instance)
    make_folder(instance.run, 0o700, binaries.server_owner())
    if not instance.data.exists():
        _create(instance, home)
    _shorten_log(instance.postgres_log)
    deadline = time.monotonic() + RETRY_SECONDS
    while not is_up(instance):
        _forget_dead(instance)
        if _launch(instance, home) == 0:
            return
        if time.monotonic() > deadline:
            reason = _why_it_does_not_start(instance)
            raise LocalServiceError(f"PostgreSQL does not start ({reason}): see {instance.postgres_log}, or set DATABASE_URL.")
        time.sleep(0.2)


def stop_postgres(instance: InstancePaths) -> None:
    """Stop a server that is up; open connections are ended, nothing committed is lost."""
    # By signal, because the binaries may have been removed with their virtual environment.
    number = postgres_pid(instance)
    # Fast shutdown, then an immediate one: the next start recovers as from a crash.
    for asked in (signal.SIGINT, signal.SIGQUIT):
        if number is None or _ends(instance, number, asked):
            return


def postgres_version() -> str:
    """Return the version of the server's binary, or the major version when it cannot be asked."""
    try:
        answer = subprocess.check_output([binaries.postgres_wheel() / "bin/postgres", "--version"], text=True)
    except (LocalServiceError, OSError, subprocess.SubprocessError):
        return str(POSTGRES_MAJOR)
    return answer.split()[-1]


def _ends(instance: InstancePaths, number: int, asked: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, asked)
    deadline = time.monotonic() + STOP_SECONDS
    # Its pid file is the last thing a server removes.
    while postgres_pid(instance) == number:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _create(instance: InstancePaths, home: Path) -> None:
    # Created under another name and renamed when complete, so that an interrupted run leaves no partial data.
    fresh = instance.data.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    make_folder(fresh, 0o700, binaries.server_owner())
    log = instance.folder / "initdb.log"
    with log.open("w") as output:
        steps = [
            ([home / "bin/initdb", "-D", fresh, "-U", ROLE, "--auth=trust", "--no-sync", "--no-instructions", *ENCODING], ""),
            ([home / "bin/postgres", "--single", "-D", fresh, "-c", "fsync=off", "postgres"], f"CREATE DATABASE {DATABASE}\n"),
            ([home / "bin/initdb", "-D", fresh, "--sync-only"], ""),
        ]
        for command, text in steps[:2] if instance.profile.startswith("test") else steps:
            if binaries.run_as_server_user(command, output, text) != 0:
                raise LocalServiceError(f"initdb failed ({_reason(log)}): see {log}, or set CASHBACK_STATE or DATABASE_URL.")
    fresh.rename(instance.data)


def _launch(instance: InstancePaths, home: Path) -> int:
    of_tests = SETTINGS_OF_TESTS if instance.profile.startswith("test") else {}
    settings = SETTINGS | of_tests | {"unix_socket_directories": str(instance.run)}
    options = shlex.join(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
    pg_ctl = [home / "bin/pg_ctl", "-D", instance.data, "-l", instance.postgres_log, "-w", "-t", str(START_SECONDS)]
    return binaries.run_as_server_user([*pg_ctl, "-o", options, "start"])


def _pid_file(instance: InstancePaths) -> list[str]:
    try:
        return [line.strip() for line in (instance.data / "postmaster.pid").read_text().splitlines()]
    except OSError:
        return []


def _forget_dead(instance: InstancePaths) -> None:
    # A killed server leaves its process id behind. While its parent does not collect it, or when another program got
    # the number since, PostgreSQL takes it for alive. The shared memory still guards the data: no server starts while
    # a process of the old one is attached to it.
    if (
        not Path("/proc/self").exists()
        or is_listening(instance.postgres_socket)
        or _is_server(instance, postgres_pid(instance))
    ):
        return
    (instance.data / "postmaster.pid").unlink(missing_ok=True)
    instance.postgres_socket.with_name(f"{instance.postgres_socket.name}.lock").unlink(missing_ok=True)


def _is_server(instance: InstancePaths, number: int | None) -> bool:
    try:
        # A zombie's command line is empty.
        return os.fsencode(instance.data) in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _shorten_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def _why_it_does_not_start(instance: InstancePaths) -> str:
    # On a full disk the log cannot be written either.
    full = shutil.disk_usage(instance.data).free < SEGMENT
    return os.strerror(errno.ENOSPC) if full else _reason(instance.postgres_log)


def _reason(log: Path) -> str:
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()][-20:]
    except OSError:
        return "no log was written"
    # The last line only reports the shutdown.
    return ([line for line in lines if re.search("FATAL|PANIC|[Ee]rror:", line)] or lines or ["its log is empty"])[-1]
