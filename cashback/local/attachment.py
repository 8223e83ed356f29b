"""What the rest of the project asks of the local servers."""

import fcntl
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn
from urllib.parse import quote, urlencode

from cashback.local import execution, keeper, places, postgres, redis
from cashback.local.cannot import Cannot
from cashback.local.places import POSTGRES_PORT, Place
from cashback.local.supervision import Part

log = logging.getLogger(__name__)
WITHOUT_REDIS = "The product goes on without Redis: rate limits and caches are kept per process."
# The lock this process and its forks hold, per folder: whoever is on it keeps the servers up.
_held: dict[Place, int] = {}


def database_url(name: str = postgres.DATABASE, role: str = postgres.ROLE) -> str:
    """Return the URL of database `name` on the local PostgreSQL, for `role` to connect with; starts nothing."""
    query = urlencode({"host": places.here().run})
    return f"postgresql://{role}@:{POSTGRES_PORT}/{quote(name, safe='')}?{query}"


def redis_url(db: int = 0) -> str | None:
    """Return the URL of database `db` on the local Redis, or None when this machine has no server for it; starts nothing."""
    if execution.redis_binary() is None:
        return None
    return f"unix://{quote(str(places.here().redis_socket))}?db={db}"


def redis_missing() -> str:
    """Return the sentence that says there is no Redis here and what that means; empty when there is one."""
    return "" if execution.redis_binary() else redis.MISSING


def attach_if_wanted(environ: Mapping[str, str] = os.environ) -> None:
    """Attach to the servers that `environ` does not place elsewhere; does nothing outside local mode."""
    if environ.get("CASHBACK_ENV", "local") == "local":
        attach(postgres=not environ.get("DATABASE_URL"), redis=not environ.get("REDIS_URL"))


def attach(*, postgres: bool = True, redis: bool = True) -> None:
    """Start what is asked for and not running, and keep it up for the life of this process and its forks.

    Raises Cannot when PostgreSQL does not come up; without Redis the product goes on.
    """
    redis = redis and execution.redis_binary() is not None
    if not (postgres or redis):
        return
    place = places.here()
    if place not in _held:
        _hold(place)
    if _missing(place, postgres, redis):
        with keeper.starting(place):
            _start(place, *_missing(place, postgres, redis))


def parts(environ: Mapping[str, str] = os.environ) -> list[Part]:
    """Return the servers that this process started, or that `environ` leaves to it, for a supervisor to keep up."""
    place, found = places.here(), []
    if not environ.get("DATABASE_URL"):
        found.append(Part("PostgreSQL", partial(_down, place, "postgres"), partial(attach, redis=False), precedes_others=True))
    if not environ.get("REDIS_URL") and execution.redis_binary() is not None:
        found.append(Part("Redis", partial(_down, place, "redis"), partial(attach, postgres=False), without=WITHOUT_REDIS))
    return found


def up(*, postgres: bool = True, redis: bool = True) -> None:
    """Start what is asked for and keep it up until `down`."""
    attach(postgres=postgres, redis=redis)
    keeper.kept_file(places.here()).touch()


def down() -> None:
    """Stop both servers, whoever uses them; the data stays."""
    place = places.here()
    if place.folder.is_dir():
        keeper.kept_file(place).unlink(missing_ok=True)
        keeper.stop_servers(place)


def psql(arguments: Sequence[str] = ()) -> NoReturn:
    """Become psql on the local database; raise Cannot when there is none."""
    binary = execution.postgres_wheel() / "bin/psql"
    if not binary.exists():
        raise Cannot(f"The package with PostgreSQL has no psql on this platform: connect any client to {database_url()}.")
    attach(redis=False)
    # psql takes this process's place, and its lock.
    os.set_inheritable(_held[places.here()], True)
    os.execv(binary, [str(binary), "--dbname", database_url(), *arguments])  # noqa: S606


def _hold(place: Place) -> None:
    places.prepare(place)
    lock = keeper.open_lock(keeper.users_file(place))
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held[place] = lock
    keeper.ensure_keeper(place)


def _missing(place: Place, want_postgres: bool, want_redis: bool) -> list[str]:
    wanted = {"postgres": want_postgres, "redis": want_redis}
    servers = {"postgres": postgres, "redis": redis}
    return [name for name, want in wanted.items() if want and not servers[name].is_up(place)]


def _down(place: Place, name: str) -> str | None:
    return "" if _missing(place, name == "postgres", name == "redis") else None


def _start(place: Place, *names: str) -> None:
    if "postgres" in names:
        postgres.start(place)
    if "redis" in names and not redis.start(place):
        log.warning("Redis does not start, the product goes on without it: see %s, or set REDIS_URL.", place.run / "redis.log")
