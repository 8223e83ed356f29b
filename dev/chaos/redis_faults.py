"""Redis: killed, stopped, emptied, restarted and full while clients claim."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dev.chaos.experiment import Experiment, Outcome, RunningLoad, under_load
from dev.chaos.test_servers import TestServers
from dev.services import redis
from dev.services.sockets import ask_redis
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt

SLOWER_SECONDS = 0.15
LEFT_ALONE_SECONDS = 1.0  # the open circuit: Redis is not used after a failure
ENOUGH = 1_000  # requests on either side: the 99th percentile of fewer is unreliable
Span = tuple[float, float]


def lose_redis(experiment: Experiment) -> Outcome:
    """T16: Redis fails in five ways while it counts and queues claims; no request fails or waits much longer."""
    calm, lost = list[Span](), dict[str, Span]()

    def inject(load: RunningLoad) -> int:
        # The first step warms up: the first requests wait for connections.
        step = experiment.seconds / (2 * len(REDIS_FAULTS) + 1)
        time.sleep(step)
        for fault in REDIS_FAULTS:
            calm.append(measure_span(step))
            begun = time.time()
            with fault(experiment.servers):
                time.sleep(step)
            time.sleep(min(LEFT_ALONE_SECONDS, step / 4))
            lost[fault.__name__] = (begun, time.time())
        return len(lost)

    with with_redis_in_use():
        outcome = under_load(experiment, inject)
    return compare_latency(outcome, calm, lost)


def measure_span(seconds: float) -> Span:
    """Wait while clients claim, and return the start and end of the time span."""
    begun = time.time()
    time.sleep(seconds)
    return begun, time.time()


def compare_latency(outcome: Outcome, calm: list[Span], lost: dict[str, Span]) -> Outcome:
    """Add the latency with and without Redis, and a violation when it rose and there are enough requests to judge."""
    before, during = response_times(outcome.log, calm), response_times(outcome.log, list(lost.values()))
    by_fault = {name: p99(response_times(outcome.log, [span])) for name, span in lost.items()}
    worst = max(by_fault, key=lambda name: by_fault[name])
    note = (
        f"p99 {p99(before):,.0f} ms of {len(before):,} requests with Redis, {p99(during):,.0f} ms of {len(during):,} without"
        f" (at most {by_fault[worst]:,.0f} ms: {worst})"
    )
    if min(len(before), len(during)) < ENOUGH:
        return outcome.with_note(f"{note}; too few to judge")
    if p99(during) > p99(before) + 1000 * SLOWER_SECONDS:
        outcome.violations.append(Violation("time", f"the 99th percentile rose by more than {1000 * SLOWER_SECONDS:.0f} ms"))
    return outcome.with_note(note)


def response_times(log: list[Attempt], spans: list[Span]) -> list[float]:
    """Return the response times, in milliseconds, of the requests sent within the spans."""
    within = [attempt for attempt in log if any(begun <= attempt.started < ended for begun, ended in spans)]
    return [1000 * (attempt.ended - attempt.started) for attempt in within]


def p99(times: list[float]) -> float:
    """Return the 99th percentile; infinite for fewer than two."""
    return statistics.quantiles(times, n=100)[98] if len(times) > 1 else float("inf")


def with_redis_in_use() -> AbstractContextManager[None]:
    """Have the web count claims and queue concurrent claims in Redis."""
    return environment_with(RATE_CLAIM="1000000/m", CLAIM_LOCK="redis")


@contextmanager
def environment_with(**use: str) -> Iterator[None]:
    """Set environment variables for web servers started within."""
    old = {name: os.environ.get(name) for name in use}
    os.environ.update(use)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def kill_redis(servers: TestServers) -> Iterator[None]:
    """SIGKILL, and a start later."""
    os.kill(servers.redis_pid(), signal.SIGKILL)
    yield
    redis.start_redis(servers.instance)


@contextmanager
def pause_redis(servers: TestServers) -> Iterator[None]:
    """SIGSTOP: it accepts connections and does not respond."""
    pid = servers.redis_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def flush_redis(servers: TestServers) -> Iterator[None]:
    """FLUSHALL: every count and every lock is deleted."""
    ask_redis(servers.instance.redis_socket, "FLUSHALL")
    yield
    ask_redis(servers.instance.redis_socket, "FLUSHALL")


@contextmanager
def restart_redis(servers: TestServers) -> Iterator[None]:
    """SHUTDOWN and start."""
    redis.stop_redis(servers.instance)
    redis.start_redis(servers.instance)
    yield


@contextmanager
def fill_redis(servers: TestServers) -> Iterator[None]:
    """Memory full: every write is refused."""
    ask_redis(servers.instance.redis_socket, "CONFIG SET maxmemory-policy noeviction\r\nCONFIG SET maxmemory 1")
    yield
    ask_redis(servers.instance.redis_socket, "CONFIG SET maxmemory 128mb\r\nCONFIG SET maxmemory-policy volatile-lru")


REDIS_FAULTS = (kill_redis, pause_redis, flush_redis, restart_redis, fill_redis)
