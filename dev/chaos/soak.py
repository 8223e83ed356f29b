"""A long load with one fault after the other, as the dice will have it, and the web's memory."""

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
MEASURED_SECONDS = 25  # a shorter time says nothing about memory
Fault = Callable[[RunningLoad], None]


def soak(scene: Experiment) -> Outcome:
    """T24: whatever can be lost is lost in turn; then the workers live on, get warm under what they bear, and may not grow."""
    struck, memory = Counter[str](), list[int]()
    measured = scene.seconds / 2

    def strike(proxy: Proxy, act: RunningLoad) -> int:
        bearable: list[Fault] = [
            terminate_session,
            lose_redis_once,
            hold_row,
            exhaust_sessions,
            partial(lose_commit_replies, proxy),
        ]
        strike_in_turn(act, scene.seconds / 4, [kill_worker, replace_workers, restart_postgres, *bearable], struck)
        strike_in_turn(act, scene.seconds / 4, bearable, struck)
        memory.append(workers_memory(act))
        strike_in_turn(act, measured, bearable, struck)
        memory.append(workers_memory(act))
        return struck.total()

    with redis_faults.with_redis_in_use(), before_postgres(scene) as (proxy, url):
        outcome = under_load(scene, partial(strike, proxy), environ=web_environment(DATABASE_URL=url))
    outcome.violations.extend(grown_workers(memory[0], memory[1], measured))
    told = ", ".join(f"{count} × {name}" for name, count in struck.most_common())
    return outcome.noted(f"{told}; memory of the workers {100 * (memory[1] / memory[0] - 1):+.1f} % in {measured:.0f} s")


def grown_workers(before: int, after: int, seconds: float) -> list[Violation]:
    """Find workers that grew, when that many seconds are long enough to tell."""
    growth = after / before - 1
    if seconds < MEASURED_SECONDS or growth <= GROWTH:
        return []
    return [Violation("memory", f"the web's workers grew by {100 * growth:.1f} % in {seconds:.0f} s")]


def strike_in_turn(act: RunningLoad, seconds: float, faults: Sequence[Fault], struck: Counter[str]) -> None:
    """Strike with each of the faults in an order of the dice's, again and again while there is time; count in `struck`."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for fault in act.random.sample(faults, len(faults)):
            fault(act)
            struck[getattr(fault, "func", fault).__name__] += 1
            time.sleep(EVERY_SECONDS)


def workers_memory(act: RunningLoad) -> int:
    """Return the bytes that the web's workers hold."""
    return sum(processes.memory_bytes(pid) for pid in act.web.workers())


def terminate_session(act: RunningLoad) -> None:
    """Terminate a session of the web."""
    with psycopg.connect(**connection_parameters(), autocommit=True) as killer:
        killer.execute(VICTIM, [APP_ROLE])


def kill_worker(act: RunningLoad) -> None:
    """Kill a worker."""
    with contextlib.suppress(ProcessLookupError, IndexError):
        os.kill(act.random.choice(act.web.workers()), signal.SIGKILL)


def replace_workers(act: RunningLoad) -> None:
    """Replace all workers in good order."""
    os.kill(act.web.pid, signal.SIGHUP)


def restart_postgres(act: RunningLoad) -> None:
    """Stop PostgreSQL at once, and start it."""
    act.scene.stage.stop_at_once()
    act.scene.stage.start()


def lose_redis_once(act: RunningLoad) -> None:
    """Lose Redis in one of five ways."""
    with act.random.choice(redis_faults.WAYS)(act.scene.stage):
        time.sleep(EVERY_SECONDS)


def hold_row(act: RunningLoad) -> None:
    """Hold a credit's row, and be stopped and killed."""
    with hold_asset_row(act.random.choice(act.arena.credits)) as holder:
        holder.send_signal(signal.SIGSTOP)
        time.sleep(EVERY_SECONDS)


def exhaust_sessions(act: RunningLoad) -> None:
    """Let the web have no session, and then as many as it likes."""
    limit_sessions(0)
    time.sleep(EVERY_SECONDS)
    limit_sessions(-1)


def lose_commit_replies(proxy: Proxy, act: RunningLoad) -> None:
    """Lose half of the replies to COMMIT."""
    proxy.share = LOST_REPLIES
    time.sleep(EVERY_SECONDS)
    proxy.share = 0
