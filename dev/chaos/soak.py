"""A long load with faults in random order, and the memory of the web workers."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import psycopg

from dev.chaos import redis_faults
from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, RunningLoad, under_load, web_environment
from dev.chaos.network_faults import before_postgres
from dev.chaos.proxy import Proxy
from dev.chaos.session_faults import VICTIM, connection_parameters, hold_asset_row, limit_sessions
from dev.race import processes
from wallet.verification.checker import Violation

EVERY_SECONDS = 0.5
LOST_REPLIES = 0.5  # of those to COMMIT, while they are lost
GROWTH = 0.05
MEASURED_SECONDS = 25  # the minimum for a verdict about memory
Fault = Callable[[RunningLoad], None]


def soak(experiment: Experiment) -> Outcome:
    """T24: all faults in turn; then only faults that workers survive: their memory, once warm, must not grow."""
    injected, memory = Counter[str](), list[int]()
    measured = experiment.seconds / 2

    def inject(proxy: Proxy, load: RunningLoad) -> int:
        survivable: list[Fault] = [
            terminate_session,
            lose_redis_once,
            hold_row,
            exhaust_sessions,
            partial(lose_commit_replies, proxy),
        ]
        inject_in_turn(load, experiment.seconds / 4, [kill_worker, replace_workers, restart_postgres, *survivable], injected)
        inject_in_turn(load, experiment.seconds / 4, survivable, injected)
        memory.append(workers_memory(load))
        inject_in_turn(load, measured, survivable, injected)
        memory.append(workers_memory(load))
        return injected.total()

    with redis_faults.with_redis_in_use(), before_postgres(experiment) as (proxy, url):
        outcome = under_load(experiment, partial(inject, proxy), environ=web_environment(DATABASE_URL=url))
    outcome.violations.extend(grown_workers(memory[0], memory[1], measured))
    counts = ", ".join(f"{count} × {name}" for name, count in injected.most_common())
    return outcome.with_note(f"{counts}; memory of the workers {100 * (memory[1] / memory[0] - 1):+.1f} % in {measured:.0f} s")


def grown_workers(before: int, after: int, seconds: float) -> list[Violation]:
    """Return a violation when the workers grew within enough seconds to judge."""
    growth = after / before - 1
    if seconds < MEASURED_SECONDS or growth <= GROWTH:
        return []
    return [Violation("memory", f"the web's workers grew by {100 * growth:.1f} % in {seconds:.0f} s")]


def inject_in_turn(load: RunningLoad, seconds: float, faults: Sequence[Fault], injected: Counter[str]) -> None:
    """Inject each of the faults in random order, repeatedly until the time is over; count them in `injected`."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for fault in load.random.sample(faults, len(faults)):
            fault(load)
            injected[getattr(fault, "func", fault).__name__] += 1
            time.sleep(EVERY_SECONDS)


def workers_memory(load: RunningLoad) -> int:
    """Return the bytes of memory of the web workers."""
    return sum(processes.memory_bytes(pid) for pid in load.web.workers())


def terminate_session(load: RunningLoad) -> None:
    """Terminate a session of the web."""
    with psycopg.connect(**connection_parameters(), autocommit=True) as killer:
        killer.execute(VICTIM, [APP_ROLE])


def kill_worker(load: RunningLoad) -> None:
    """Kill a worker."""
    with contextlib.suppress(ProcessLookupError, IndexError):
        os.kill(load.random.choice(load.web.workers()), signal.SIGKILL)


def replace_workers(load: RunningLoad) -> None:
    """Replace all workers gracefully."""
    os.kill(load.web.pid, signal.SIGHUP)


def restart_postgres(load: RunningLoad) -> None:
    """Stop PostgreSQL at once, and start it."""
    load.experiment.servers.stop_at_once()
    load.experiment.servers.start()


def lose_redis_once(load: RunningLoad) -> None:
    """Inject one of the faults of Redis."""
    with load.random.choice(redis_faults.REDIS_FAULTS)(load.experiment.servers):
        time.sleep(EVERY_SECONDS)


def hold_row(load: RunningLoad) -> None:
    """Lock a credit's row in a process that is stopped and then killed."""
    with hold_asset_row(load.random.choice(load.fixture.credits)) as holder:
        holder.send_signal(signal.SIGSTOP)
        time.sleep(EVERY_SECONDS)


def exhaust_sessions(load: RunningLoad) -> None:
    """Allow the web no session for a moment, and then any number."""
    limit_sessions(0)
    time.sleep(EVERY_SECONDS)
    limit_sessions(-1)


def lose_commit_replies(proxy: Proxy, load: RunningLoad) -> None:
    """Lose half of the replies to COMMIT."""
    proxy.share = LOST_REPLIES
    time.sleep(EVERY_SECONDS)
    proxy.share = 0
