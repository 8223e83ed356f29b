"""Redis as the product's cache: asked no more for a moment after it failed to answer."""

import threading
import time
from typing import Any

from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import ConnectionError as NoAnswer
from redis.exceptions import RedisError

PAUSE_SECONDS = 1.0


class PatientRedisCache(RedisCache):  # type: ignore[misc]
    """A Redis that hangs makes one request a second wait for its timeout, not every request several times over.

    While it is left alone each call raises redis' ConnectionError, as if it were down.
    """

    failing = False
    asked_again_at = 0.0
    turn = threading.Lock()

    def ask(self, name: str, *args: Any, **options: Any) -> Any:
        """Call one of the cache's methods, if it is time to."""
        kind = type(self)
        self.wait_for_turn()
        try:
            answer = getattr(super(), name)(*args, **options)
        except (RedisError, ConnectionInterrupted):
            kind.failing, kind.asked_again_at = True, time.monotonic() + PAUSE_SECONDS
            raise
        kind.failing = False
        return answer

    def wait_for_turn(self) -> None:
        """Let one caller a second try a Redis that failed; raise ConnectionError for the others."""
        kind = type(self)
        with kind.turn:
            if kind.failing and time.monotonic() < kind.asked_again_at:
                raise NoAnswer("Redis did not answer a moment ago")
            kind.asked_again_at = time.monotonic() + PAUSE_SECONDS

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
        """Count."""
        return self.ask("incr", *args, **options)

    def lock(self, *args: Any, **options: Any) -> Any:
        """Return a lock, not yet held; made only while Redis answers."""
        if self.failing:
            raise NoAnswer("Redis did not answer a moment ago")
        return super().lock(*args, **options)
