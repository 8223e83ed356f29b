"""The Redis cache with a circuit breaker, and the cache of rate-limit counts."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from kernel.batching import Batcher
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
OPEN_SECONDS = 1.0  # time without calls after a failure
PAUSED = Fallback("redis.paused", f"Redis does not answer; no further command is sent for {OPEN_SECONDS:g} s", log)


@dataclass
class CircuitState:
    """The state of one server's circuit breaker: open after a failure, with the monotonic time of the next trial call."""

    is_open: bool = False
    retry_at: float = 0.0


class CircuitBreakingRedisCache(RedisCache):  # type: ignore[misc]
    """A cache with a circuit breaker: after a failure one call per OPEN_SECONDS reaches Redis.

    All other calls raise redis' ConnectionError at once, so that a hanging Redis does not delay every request.
    """

    circuits: ClassVar[defaultdict[str, CircuitState]] = defaultdict(CircuitState)  # by server
    mutex = threading.Lock()

    @property
    def circuit(self) -> CircuitState:
        """Return the state of this cache's server."""
        return self.circuits[str(self._server)]

    def call_method(self, name: str, *args: Any, **options: Any) -> Any:
        """Call one of the cache's methods through the circuit breaker."""
        return self.call(getattr(super(), name), *args, **options)

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a function that uses Redis, and open the circuit if Redis fails; raise ConnectionError if it is open."""
        self.require_closed()
        try:
            result = function(*args, **options)
        except LockError:  # Redis responded: the lock has another owner
            raise
        except (RedisError, ConnectionInterrupted):
            self.circuit.is_open, self.circuit.retry_at = True, time.monotonic() + OPEN_SECONDS
            PAUSED.record()
            raise
        self.circuit.is_open = False
        return result

    def require_closed(self) -> None:
        """Raise ConnectionError if the circuit is open, except for one trial call per OPEN_SECONDS."""
        with self.mutex:
            if self.circuit.is_open and time.monotonic() < self.circuit.retry_at:
                raise RedisConnectionError("the circuit is open: Redis failed within the last second")
            self.circuit.retry_at = time.monotonic() + OPEN_SECONDS

    def get(self, *args: Any, **options: Any) -> Any:
        """Return a value."""
        return self.call_method("get", *args, **options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        """Return values by key."""
        return self.call_method("get_many", *args, **options)

    def set(self, *args: Any, **options: Any) -> Any:
        """Store a value."""
        return self.call_method("set", *args, **options)

    def add(self, *args: Any, **options: Any) -> Any:
        """Store a value unless the key exists."""
        return self.call_method("add", *args, **options)

    def incr(self, *args: Any, **options: Any) -> Any:
        """Increment a value. Raises ValueError if the key does not exist."""
        return self.call_method("incr", *args, **options)

    def lock(self, *args: Any, **options: Any) -> "CircuitBreakingLock":
        """Return a lock that is not acquired yet."""
        return CircuitBreakingLock(self, super().lock(*args, **options))


@dataclass(frozen=True)
class CircuitBreakingLock:
    """A lock of redis-py whose calls go through the circuit breaker."""

    cache: CircuitBreakingRedisCache
    lock: Lock

    def acquire(self) -> bool:
        """Wait for the lock and return whether it was acquired."""
        return bool(self.cache.call(self.lock.acquire))

    def release(self) -> None:
        """Release the lock; raise LockError if it expired."""
        self.cache.call(self.lock.release)


@dataclass(frozen=True)
class CountedAttempt:
    """An attempt to be counted under a key, which expires after so many seconds."""

    cache: "RateLimitCache"
    key: str
    seconds: int


class RateLimitCache(CircuitBreakingRedisCache):
    """The counts of django-ratelimit: one round trip per count, and concurrent counts are batched.

    django-ratelimit calls `add` with 1, then `incr` if the key existed. Here `add` does both and `incr` returns the result.
    Each thread has a cache object of its own, so the two calls are not interleaved.
    """

    last_count: tuple[str, int] = ("", 0)

    def add(self, key: str, value: int, timeout: int) -> bool:
        """Count one attempt and return whether it is the first, whose `value` is 1."""
        self.last_count = key, attempt_batcher.submit(CountedAttempt(self, key, timeout))
        return self.last_count[1] == value

    def incr(self, key: str) -> int:
        """Return the count after the preceding `add`."""
        assert self.last_count[0] == key
        return self.last_count[1]


def count_attempts(attempts: Sequence[CountedAttempt]) -> list[int]:
    """Count the attempts in one round trip and return the count of each key."""
    cache = attempts[0].cache
    # In a transaction: a flush between the two commands would leave a count without an expiry.
    pipeline = cache.client.get_client(write=True).pipeline(transaction=True)
    for attempt in attempts:
        name = cache.make_key(attempt.key)
        pipeline.set(name, 0, ex=attempt.seconds, nx=True)
        pipeline.incr(name)
    return [int(count) for count in cache.call(pipeline.execute)[1::2]]


attempt_batcher: Batcher[CountedAttempt, int] = Batcher(
    "rate_limit_counts", count_attempts, lambda attempt: count_attempts([attempt])[0], uses_database=False
)
