"""The local Redis server: start, query, stop. Callers hold the startup lock (see supervisor)."""

import time

from dev.services import binaries
from dev.services.paths import InstancePaths, make_folder
from dev.services.sockets import ask_redis, is_listening

DATABASES = 64
MISSING = "There is no Redis or Valkey on this machine: rate limits and caches are kept per process. Set REDIS_URL to use one."
START_SECONDS = 2
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "yes",
    "databases": str(DATABASES),
    # No data has to survive a restart.
    "save": "",
    "appendonly": "no",
    "maxmemory": "128mb",
    # When full: noeviction would make every rate limit fail, volatile-ttl would drop the counters first (they end
    # soonest). Least recently used drops stale caches and keeps the counters that are being hit.
    "maxmemory-policy": "volatile-lru",
}


def is_up(instance: InstancePaths) -> bool:
    """Return whether Redis accepts connections."""
    return is_listening(instance.redis_socket)


def start_redis(instance: InstancePaths) -> bool:
    """Start Redis; return False when it does not start, since the product runs without it."""
    binary = binaries.redis_program(instance)
    if binary is None:
        return False
    make_folder(instance.run, 0o700, binaries.server_owner())
    files = {"unixsocket": instance.redis_socket, "dir": instance.run, "logfile": instance.run / "redis.log"}
    settings = [part for name, value in (SETTINGS | files).items() for part in (f"--{name}", value)]
    binaries.run_as_server_user([binary, *settings])
    return _wait(instance, up=True)


def stop_redis(instance: InstancePaths) -> None:
    """Stop Redis."""
    # Over its socket, because a process id read from a file may be another program's by now.
    ask_redis(instance.redis_socket, "SHUTDOWN NOSAVE")
    _wait(instance, up=False)


def _wait(instance: InstancePaths, *, up: bool) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while is_up(instance) is not up:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
