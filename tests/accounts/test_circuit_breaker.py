"""The circuit breaker of the Redis cache: one request waits for a hanging Redis, the others do not."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from redis.exceptions import LockError, RedisError

from cashback.redis_cache import OPEN_SECONDS
from dev import services
from dev.services import paths
from dev.services.sockets import ask_redis
from kernel.rate_limits import STORE_ERRORS


@pytest.fixture
def hanging() -> Iterator[None]:
    """SIGSTOP this test process's own Redis."""
    assert services.redis_url()
    info = ask_redis(paths.instance_paths().redis_socket, "INFO server")
    pid = int(next(line for line in info.splitlines() if line.startswith("process_id:")).partition(":")[2])
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)
    time.sleep(OPEN_SECONDS)
    caches["default"].set("awake", 1)


def redis_lock(name: str, **limits: float) -> Any:
    """Return a lock of django-redis, whose method Django's stubs do not name."""
    return caches["default"].lock(name, **limits)  # type: ignore[attr-defined]


def test_hanging_redis_is_not_called_while_the_circuit_is_open(hanging: None) -> None:
    taken = []
    for _ in range(20):
        begun = time.monotonic()
        with pytest.raises(STORE_ERRORS):
            caches["default"].incr("count")
        taken.append(time.monotonic() - begun)

    assert sum(seconds > 0.05 for seconds in taken) <= 2
    with pytest.raises(RedisError):
        redis_lock("test").acquire()


def test_concurrent_calls_to_a_hanging_redis_do_not_wait_in_sequence(hanging: None) -> None:
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(RedisError):
            redis_lock("test").acquire()

    assert time.monotonic() - begun < 3


def test_a_lock_is_held_by_one_and_is_free_again_afterwards() -> None:
    first, second = (redis_lock("test", timeout=5, blocking_timeout=0.05) for _ in range(2))

    assert (first.acquire(), second.acquire()) == (True, False)
    first.release()
    assert second.acquire()
    with pytest.raises(LockError):
        first.release()
    assert caches["default"].get("asked all the same") is None
    second.release()


def test_what_it_says_is_passed_on() -> None:
    cache = caches["default"]
    cache.set("a", 1)

    assert (cache.add("a", 2), cache.get("a"), cache.incr("a"), cache.get_many(["a"])) == (False, 1, 2, {"a": 2})
