"""The functions through which the project uses the local servers."""

import fcntl
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn
from urllib.parse import quote, urlencode

from dev.services import binaries, paths, postgres, redis, supervisor
from dev.services.errors import LocalServiceError
from dev.services.paths import POSTGRES_PORT, InstancePaths
from dev.services.restarts import RestartablePart

log = logging.getLogger(__name__)
WITHOUT_REDIS = "The product runs without Redis: rate limits and caches are kept per process."
# The shared locks of this process and its forks, by instance. While one is held, the servers stay up.
_held: dict[InstancePaths, int] = {}


def database_url(name: str = postgres.DATABASE, role: str = postgres.ROLE) -> str:
    """Return the URL of database `name` on the local PostgreSQL, for `role` to connect with; starts nothing."""
    query = urlencode({"host": paths.instance_paths().run})
    return f"postgresql://{role}@:{POSTGRES_PORT}/{quote(name, safe='')}?{query}"


def redis_url(db: int = 0) -> str | None:
    """Return the URL of database `db` on the local Redis, or None when this machine has no server for it; starts nothing."""
    if binaries.redis_binary() is None:
        return None
    return f"unix://{quote(str(paths.instance_paths().redis_socket))}?db={db}"


def redis_missing() -> str:
    """Return a sentence about the missing Redis; empty when there is one."""
    return "" if binaries.redis_binary() else redis.MISSING


def acquire_lease_if_local(environ: Mapping[str, str] = os.environ) -> None:
    """Acquire a lease on the servers for which `environ` has no URL; do nothing outside local mode."""
    if environ.get("CASHBACK_ENV", "local") == "local":
        acquire_lease(postgres=not environ.get("DATABASE_URL"), redis=not environ.get("REDIS_URL"))


def acquire_lease(*, postgres: bool = True, redis: bool = True) -> None:
    """Start the requested servers, and keep them up while this process or one of its forks runs.

    Raises LocalServiceError when PostgreSQL does not start; the product runs without Redis.
    """
    redis = redis and binaries.redis_binary() is not None
    if not (postgres or redis):
        return
    instance = paths.instance_paths()
    if instance not in _held:
        _hold(instance)
    if _missing(instance, postgres, redis):
        with supervisor.startup_lock(instance):
            _start(instance, *_missing(instance, postgres, redis))


def restartable_parts(environ: Mapping[str, str] = os.environ) -> list[RestartablePart]:
    """Return the local servers for which `environ` has no URL, as parts to restart."""
    instance, found = paths.instance_paths(), []
    if not environ.get("DATABASE_URL"):
        found.append(
            RestartablePart(
                "PostgreSQL", partial(_down, instance, "postgres"), partial(acquire_lease, redis=False), precedes_others=True
            )
        )
    if not environ.get("REDIS_URL") and binaries.redis_binary() is not None:
        found.append(
            RestartablePart(
                "Redis", partial(_down, instance, "redis"), partial(acquire_lease, postgres=False), without=WITHOUT_REDIS
            )
        )
    return found


def start_services(*, postgres: bool = True, redis: bool = True) -> None:
    """Start the requested servers and keep them up until `stop_services`."""
    acquire_lease(postgres=postgres, redis=redis)
    supervisor.pinned_file(paths.instance_paths()).touch()


def stop_services() -> None:
    """Stop both servers, even if they are in use; the data stays."""
    instance = paths.instance_paths()
    if instance.folder.is_dir():
        supervisor.pinned_file(instance).unlink(missing_ok=True)
        supervisor.stop_servers(instance)


def exec_psql(arguments: Sequence[str] = ()) -> NoReturn:
    """Become psql on the local database; raise LocalServiceError when there is none."""
    binary = binaries.postgres_wheel() / "bin/psql"
    if not binary.exists():
        raise LocalServiceError(
            f"The package with PostgreSQL has no psql on this platform: connect any client to {database_url()}."
        )
    acquire_lease(redis=False)
    # psql replaces this process and keeps its lock.
    os.set_inheritable(_held[paths.instance_paths()], True)
    os.execv(binary, [str(binary), "--dbname", database_url(), *arguments])  # noqa: S606


def _hold(instance: InstancePaths) -> None:
    paths.prepare_folder(instance)
    lock = supervisor.open_lock(supervisor.lease_file(instance))
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held[instance] = lock
    supervisor.ensure_supervisor(instance)


def _missing(instance: InstancePaths, want_postgres: bool, want_redis: bool) -> list[str]:
    wanted = {"postgres": want_postgres, "redis": want_redis}
    servers = {"postgres": postgres, "redis": redis}
    return [name for name, want in wanted.items() if want and not servers[name].is_up(instance)]


def _down(instance: InstancePaths, name: str) -> str | None:
    return "" if _missing(instance, name == "postgres", name == "redis") else None


def _start(instance: InstancePaths, *names: str) -> None:
    if "postgres" in names:
        postgres.start_postgres(instance)
    if "redis" in names and not redis.start_redis(instance):
        log.warning("Redis does not start; the product runs without it: see %s, or set REDIS_URL.", instance.run / "redis.log")
