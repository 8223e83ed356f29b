"""Redis: killed, stopped, emptied, restarted and full while clients claim."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cashback.local import redis
from cashback.local.sockets import ask_redis
from wallet.proofs.attempts import Attempt
from wallet.proofs.faults.scene import Act, Outcome, Scene, under_load
from wallet.proofs.faults.stage import Stage
from wallet.proofs.verify import Violation

SLOWER_SECONDS = 0.15
WAYS = 5
ENOUGH = 2_000


def lose_redis(scene: Scene) -> Outcome:
    """T16: Redis is lost five ways while it counts and queues claims; nobody hears of it."""
    # Made before the database, so that it is told of later.
    spans: list[tuple[float, float]] = []

    def strike(act: Act) -> int:
        calm(act, spans)
        for lost in (killed, stopped, emptied, restarted, full):
            with lost(scene.stage):
                time.sleep(scene.seconds / (2 * WAYS))
            time.sleep(scene.seconds / (4 * WAYS))
        return WAYS

    with with_redis_in_use():
        outcome = under_load(scene, strike, least=WAYS)
    before, during = p99(outcome.log, spans[0]), p99(outcome.log, (spans[0][1], time.time()))
    # Of fewer, the 99th percentile is the luck of a handful.
    if len(outcome.log) > ENOUGH and during > before + SLOWER_SECONDS:
        outcome.violations.append(Violation("time", f"p99 rose from {1000 * before:.0f} to {1000 * during:.0f} ms"))
    return outcome.noted(f"p99 {1000 * before:.0f} ms before, {1000 * during:.0f} ms during")


@contextmanager
def with_redis_in_use() -> Iterator[None]:
    """Have the web count claims in Redis and queue the crowd there."""
    use = {"RATE_CLAIM": "1000000/m", "CLAIM_LOCK": "redis"}
    old = {name: os.environ.get(name) for name in use}
    os.environ.update(use)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def calm(act: Act, spans: list[tuple[float, float]]) -> None:
    """Let clients claim undisturbed for a while, to compare with."""
    begun = time.time()
    time.sleep(act.scene.seconds / 4)
    spans.append((begun, time.time()))


def p99(log: list[Attempt], span: tuple[float, float]) -> float:
    """Return the 99th percentile of how long answers took, in seconds."""
    taken = [attempt.ended - attempt.started for attempt in log if span[0] <= attempt.started < span[1]]
    return statistics.quantiles(taken, n=100)[98]


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    """SIGKILL, and back later."""
    os.kill(stage.redis_pid(), signal.SIGKILL)
    yield
    redis.start(stage.place)


@contextmanager
def stopped(stage: Stage) -> Iterator[None]:
    """SIGSTOP: it takes connections and says nothing."""
    pid = stage.redis_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def emptied(stage: Stage) -> Iterator[None]:
    """FLUSHALL, again and again: every count and every lock is forgotten."""
    ask_redis(stage.place.redis_socket, "FLUSHALL")
    yield
    ask_redis(stage.place.redis_socket, "FLUSHALL")


@contextmanager
def restarted(stage: Stage) -> Iterator[None]:
    """SHUTDOWN and start."""
    redis.stop(stage.place)
    redis.start(stage.place)
    yield


@contextmanager
def full(stage: Stage) -> Iterator[None]:
    """No room for a single byte: every write is refused."""
    ask_redis(stage.place.redis_socket, "CONFIG SET maxmemory-policy noeviction\r\nCONFIG SET maxmemory 1")
    yield
    ask_redis(stage.place.redis_socket, "CONFIG SET maxmemory 128mb\r\nCONFIG SET maxmemory-policy volatile-lru")
