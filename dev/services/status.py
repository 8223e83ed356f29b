"""The state of the local servers."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dev.services import binaries, paths, postgres, redis, supervisor
from dev.services.paths import InstancePaths
from dev.services.sockets import ask_redis


@dataclass(frozen=True)
class Server:
    """One local server. `pid` is None unless it is up; `size` is its data in bytes."""

    name: str
    up: bool
    version: str
    pid: int | None
    socket: Path
    folder: Path
    size: int


@dataclass(frozen=True)
class Status:
    """Both servers, the processes that use them, and whether they stay up without any."""

    servers: tuple[Server, Server]
    users: tuple[int, ...]
    kept_up: bool


def services_status() -> Status:
    """Return the state of the local servers; starts nothing and creates nothing."""
    instance = paths.instance_paths()
    return Status((_postgres(instance), _redis(instance)), _users(instance), supervisor.pinned_file(instance).exists())


def _postgres(instance: InstancePaths) -> Server:
    up = postgres.is_up(instance)
    pid = postgres.postgres_pid(instance) if up else None
    return Server(
        "PostgreSQL", up, postgres.postgres_version(), pid, instance.postgres_socket, instance.data, _size(instance.data)
    )


def _redis(instance: InstancePaths) -> Server:
    information = ask_redis(instance.redis_socket, "INFO")
    facts = dict(re.findall(r"^(redis_version|process_id|used_memory):(\S+)\r?$", information, re.MULTILINE))
    if not facts and binaries.redis_binary() is None:
        return Server("Redis", False, redis.MISSING, None, instance.redis_socket, instance.run, 0)
    pid = int(facts["process_id"]) if facts else None
    return Server(
        "Redis",
        bool(facts),
        facts.get("redis_version", ""),
        pid,
        instance.redis_socket,
        instance.run,
        int(facts.get("used_memory", 0)),
    )


def _size(folder: Path) -> int:
    return sum(_length(Path(parent, name)) for parent, _, names in os.walk(folder) for name in names)


def _length(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        # A running server removes files as it goes.
        return 0


def _users(instance: InstancePaths) -> tuple[int, ...]:
    # Forks share their parent's lock, so the lock table alone would miss them. Without /proc (macOS) there is no list.
    mine = str(supervisor.lease_file(instance))
    pids = (int(process.name) for process in Path("/proc").glob("[0-9]*"))
    return tuple(sorted(pid for pid in pids if mine in _open_files(pid) and not _is_supervisor(pid)))


def _open_files(pid: int) -> set[str]:
    try:
        return {_target(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        # It has ended, or belongs to another user.
        return set()


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        # It has ended, or belongs to another user.
        return ""


def _is_supervisor(pid: int) -> bool:
    try:
        return b"\0dev.services\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
