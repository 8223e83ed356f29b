"""A long load with one fault after the other, as the dice will have it, and the web's memory."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import psycopg

from wallet.proofs import processes
from wallet.proofs.faults import cache
from wallet.proofs.faults.proxy import Proxy
from wallet.proofs.faults.scene import APP_ROLE, Act, Outcome, Scene, environment, under_load
from wallet.proofs.faults.sessions import VICTIM, held, limit_sessions, parameters
from wallet.proofs.faults.wire import before_postgres
from wallet.proofs.verify import Violation

EVERY_SECONDS = 0.5
LOST_REPLIES = 0.5  # of those to COMMIT, while they are lost
GROWTH = 0.05
MEASURED_SECONDS = 25  # a shorter time says nothing about memory
Fault = Callable[[Act], None]


def soak(scene: Scene) -> Outcome:
    """T24: whatever can be lost is lost in turn; then the workers live on, get warm under what they bear, and may not grow."""
    struck, memory = Counter[str](), list[int]()
    measured = scene.seconds / 2

    def strike(proxy: Proxy, act: Act) -> int:
        bearable: list[Fault] = [session, redis, row, room, partial(replies, proxy)]
        shaken(act, scene.seconds / 4, [worker, workers, server, *bearable], struck)
        shaken(act, scene.seconds / 4, bearable, struck)
        memory.append(taken(act))
        shaken(act, measured, bearable, struck)
        memory.append(taken(act))
        return struck.total()

    with cache.with_redis_in_use(), before_postgres(scene) as (proxy, url):
        outcome = under_load(scene, partial(strike, proxy), environ=environment(DATABASE_URL=url))
    outcome.violations.extend(grown(memory[0], memory[1], measured))
    told = ", ".join(f"{count} × {name}" for name, count in struck.most_common())
    return outcome.noted(f"{told}; memory of the workers {100 * (memory[1] / memory[0] - 1):+.1f} % in {measured:.0f} s")


def grown(before: int, after: int, seconds: float) -> list[Violation]:
    """Find workers that grew, when that many seconds are long enough to tell."""
    growth = after / before - 1
    if seconds < MEASURED_SECONDS or growth <= GROWTH:
        return []
    return [Violation("memory", f"the web's workers grew by {100 * growth:.1f} % in {seconds:.0f} s")]


def shaken(act: Act, seconds: float, faults: Sequence[Fault], struck: Counter[str]) -> None:
    """Strike with each of the faults in an order of the dice's, again and again while there is time; count in `struck`."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for fault in act.random.sample(faults, len(faults)):
            fault(act)
            struck[getattr(fault, "func", fault).__name__] += 1
            time.sleep(EVERY_SECONDS)


def taken(act: Act) -> int:
    """Return the bytes that the web's workers hold."""
    return sum(processes.memory(pid) for pid in act.web.workers())


def session(act: Act) -> None:
    """Terminate a session of the web."""
    with psycopg.connect(**parameters(), autocommit=True) as killer:
        killer.execute(VICTIM, [APP_ROLE])


def worker(act: Act) -> None:
    """Kill a worker."""
    with contextlib.suppress(ProcessLookupError, IndexError):
        os.kill(act.random.choice(act.web.workers()), signal.SIGKILL)


def workers(act: Act) -> None:
    """Replace all workers in good order."""
    os.kill(act.web.pid, signal.SIGHUP)


def server(act: Act) -> None:
    """Stop PostgreSQL at once, and start it."""
    act.scene.stage.stop_at_once()
    act.scene.stage.start()


def redis(act: Act) -> None:
    """Lose Redis in one of five ways."""
    with act.random.choice(cache.WAYS)(act.scene.stage):
        time.sleep(EVERY_SECONDS)


def row(act: Act) -> None:
    """Hold a credit's row, and be stopped and killed."""
    with held(act.random.choice(act.arena.credits)) as holder:
        holder.send_signal(signal.SIGSTOP)
        time.sleep(EVERY_SECONDS)


def room(act: Act) -> None:
    """Let the web have no session, and then as many as it likes."""
    limit_sessions(0)
    time.sleep(EVERY_SECONDS)
    limit_sessions(-1)


def replies(proxy: Proxy, act: Act) -> None:
    """Lose half of the replies to COMMIT."""
    proxy.share = LOST_REPLIES
    time.sleep(EVERY_SECONDS)
    proxy.share = 0
