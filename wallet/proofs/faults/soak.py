"""A long load with one fault after the other, as the dice will have it, and the web's memory."""

import contextlib
import os
import signal
import time

import psycopg

from wallet.proofs import processes
from wallet.proofs.faults import cache
from wallet.proofs.faults.scene import APP_ROLE, Act, Outcome, Scene, under_load
from wallet.proofs.faults.sessions import VICTIM, parameters
from wallet.proofs.verify import Violation

EVERY_SECONDS = 0.5
GROWTH = 0.05
WARM_SECONDS = 30  # a run shorter than that twice over says nothing about memory


def soak(scene: Scene) -> Outcome:
    """T24: sessions and workers killed, PostgreSQL stopped, Redis lost; then the workers live on, and may not grow."""
    grown: list[float] = []

    def strike(act: Act) -> int:
        count = shaken(act, scene.seconds / 2, (session, worker, server, redis))
        count += shaken(act, scene.seconds / 4, (session, redis))
        warm = held(act)
        count += shaken(act, scene.seconds / 4, (session, redis))
        grown.append(held(act) / warm - 1)
        return count

    with cache.with_redis_in_use():
        outcome = under_load(scene, strike)
    if scene.seconds >= 2 * WARM_SECONDS and grown[0] > GROWTH:
        outcome.violations.append(Violation("memory", f"the web's workers grew by {100 * grown[0]:.1f} %"))
    return outcome.noted(f"memory of the workers {100 * grown[0]:+.1f} %")


def shaken(act: Act, seconds: float, faults: tuple[object, ...]) -> int:
    """Strike with one of the faults each half second, and return how often."""
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        act.random.choice(faults)(act)  # type: ignore[operator]
        count += 1
        time.sleep(EVERY_SECONDS)
    return count


def held(act: Act) -> int:
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


def server(act: Act) -> None:
    """Stop PostgreSQL at once, and start it."""
    act.scene.stage.stop_at_once()
    act.scene.stage.start()


def redis(act: Act) -> None:
    """Lose Redis in one of five ways."""
    with act.random.choice(cache.WAYS)(act.scene.stage):
        time.sleep(EVERY_SECONDS)
