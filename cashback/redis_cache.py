"""Redis as the product's cache: asked no more for a moment after it failed to answer."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import ConnectionError as NoAnswer
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from kernel.batching import Batcher
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0
PAUSED = Fallback("redis.paused", f"Redis does not answer; no further command is sent for {PAUSE_SECONDS:g} s", log)


@dataclass
class Server:
    """Whether a server failed, and when it may be asked again."""

    failing: bool = False
    asked_again_at: float = 0.0


class CircuitBreakingRedisCache(RedisCache):  # type: ignore[misc]
    """A Redis that hangs makes one request a second wait for its timeout, not every request several times over.

    While it is left alone each call raises redis' ConnectionError, as if it were down.
    """

    # By server: another one than the one that failed is asked at once.
    servers: ClassVar[defaultdict[str, Server]] = defaultdict(Server)
    turn = threading.Lock()

    @property
    def server(self) -> Server:
        """Return what is remembered of the server that this cache asks."""
        return self.servers[str(self._server)]

    def ask(self, name: str, *args: Any, **options: Any) -> Any:
        """Call one of the cache's methods, if it is time to."""
        return self.heed(getattr(super(), name), *args, **options)

    def heed(self, question: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Ask Redis a question, if it is time to, and remember whether it answered."""
        self.wait_for_turn()
        try:
            answer = question(*args, **options)
        except LockError:  # an answer too: the lock is another's by now
            raise
        except (RedisError, ConnectionInterrupted):
            self.server.failing, self.server.asked_again_at = True, time.monotonic() + PAUSE_SECONDS
            PAUSED.record()
            raise
        self.server.failing = False
        return answer

    def wait_for_turn(self) -> None:
        """Let one caller a second try a Redis that failed; raise ConnectionError for the others."""
        with self.turn:
            if self.server.failing and time.monotonic() < self.server.asked_again_at:
                raise NoAnswer("Redis did not answer a moment ago")
            self.server.asked_again_at = time.monotonic() + PAUSE_SECONDS

    def get(self, *args: Any, **options: Any) -> Any:
        """Read a value."""
        return self.ask("get", *args, **options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        """Read values."""
        return self.ask("get_many", *args, **options)

    def set(self, *args: Any, **options: Any) -> Any:
        """Write a value."""
        return self.ask("set", *args, **options)

    def add(self, *args: Any, **options: Any) -> Any:
        """Write a value unless there is one."""
        return self.ask("add", *args, **options)

    def incr(self, *args: Any, **options: Any) -> Any:
        """Count. Raises ValueError when there is nothing to add to."""
        return self.ask("incr", *args, **options)

    def lock(self, *args: Any, **options: Any) -> "CircuitBreakingLock":
        """Return a lock, not yet held."""
        return CircuitBreakingLock(self, super().lock(*args, **options))


@dataclass(frozen=True)
class CircuitBreakingLock:
    """A lock of redis-py's (see there), asked for as patiently as the rest."""

    cache: CircuitBreakingRedisCache
    lock: Lock

    def acquire(self) -> bool:
        """Wait for the lock and return whether it is held."""
        return bool(self.cache.heed(self.lock.acquire))

    def release(self) -> None:
        """Give the lock back; raise LockError when it was lost."""
        self.cache.heed(self.lock.release)


@dataclass(frozen=True)
class CountedAttempt:
    """One more of something that is limited, and how long it is remembered."""

    counts: "RateLimitCache"
    key: str
    seconds: int


class RateLimitCache(CircuitBreakingRedisCache):
    """The counts of limits (django-ratelimit's): each is one question to Redis, and who ask in the same moment ask together.

    django-ratelimit first adds a 1, and counts up when there was something already. Here the first call does both, and the
    second returns what came of it; a thread has a cache object of its own, so nobody comes between the two.
    """

    counted: tuple[str, int] = ("", 0)

    def add(self, key: str, value: int, timeout: int) -> bool:
        """Count one more, and return whether it is the first; the `value` of a first one is 1."""
        self.counted = key, attempt_batcher.submit(CountedAttempt(self, key, timeout))
        return self.counted[1] == value

    def incr(self, key: str) -> int:
        """Return the count that `add` came to."""
        assert self.counted[0] == key
        return self.counted[1]


def count_attempts(asked: Sequence[CountedAttempt]) -> list[int]:
    """Count each try, all in one go, and return how many there were of its kind."""
    counts = asked[0].counts
    # In a transaction: emptied between the two, Redis would keep a count that nothing ends.
    pipeline = counts.client.get_client(write=True).pipeline(transaction=True)
    for each in asked:
        name = counts.make_key(each.key)
        pipeline.set(name, 0, ex=each.seconds, nx=True)
        pipeline.incr(name)
    return [int(said) for said in counts.heed(pipeline.execute)[1::2]]


attempt_batcher: Batcher[CountedAttempt, int] = Batcher(
    "rate_limit_counts", count_attempts, lambda attempt: count_attempts([attempt])[0], uses_database=False
)
