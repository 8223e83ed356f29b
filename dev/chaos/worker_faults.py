"""Faults of web workers: killed in the middle of a request, and replaced gracefully."""

import contextlib
import os
import signal

from dev.chaos.experiment import Experiment, Outcome, RunningLoad, under_load
from dev.chaos.session_faults import seconds_to_lock_after_kill
from dev.race import web_server
from dev.race.transport import ClaimResponse
from wallet.verification.checker import Violation

LOCK_FREE_SECONDS = 0.1
RESTART_EVERY_SECONDS = 1.5


def kill_workers(experiment: Experiment) -> Outcome:
    """T4: a web worker is killed every 0.5 s; a row locked by a killed process is free within 100 ms."""
    outcome = under_load(experiment, kill_repeatedly)
    freed = seconds_to_lock_after_kill(requested_credits(outcome))
    if freed > LOCK_FREE_SECONDS:
        outcome.violations.append(Violation("time", f"a killed holder's row was free after {1000 * freed:.0f} ms"))
    return outcome.with_note(f"a dead holder's row free after {1000 * freed:.0f} ms")


def requested_credits(outcome: Outcome) -> list[str]:
    """Return the known credits that clients tried to claim."""
    return sorted({attempt.target for attempt in outcome.log if attempt.kind == "asset"})


def kill_repeatedly(load: RunningLoad) -> int:
    """Kill one worker every 0.5 s and return how many."""
    count = 0
    for _ in load.ticks(0.5):
        if workers := load.web.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(load.random.choice(workers), signal.SIGKILL)
                count += 1
    return count


def restart_workers(experiment: Experiment) -> Outcome:
    """T23: all workers are replaced again and again; no request is cut off.

    Each request has a connection of its own: on one that is kept, a client cannot tell a request that was cut off from one
    that was sent as the server hung up.
    """
    outcome = under_load(experiment, restart_repeatedly, connect=OneByOne)
    dropped = [attempt for attempt in outcome.log if attempt.outcome == "unknown"]
    found = [Violation("dropped", f"{attempt.id} was cut off: {attempt.code}") for attempt in dropped]
    outcome.violations.extend(found)
    return outcome.with_note(f"{len(dropped)} requests cut off")


class OneByOne(web_server.HttpTransport):
    """Opens a connection for each request."""

    def post(self, path: str, headers: dict[str, str], body: str | None = None) -> ClaimResponse:
        """Send one request and close the connection."""
        try:
            return super().post(path, headers | {"Connection": "close"})
        finally:
            self.connection.close()


def restart_repeatedly(load: RunningLoad) -> int:
    """Ask for a rolling restart (SIGHUP: new workers come, old ones finish and end by SIGTERM) and return how often."""
    count = 0
    for _ in load.ticks(RESTART_EVERY_SECONDS):
        os.kill(load.web.pid, signal.SIGHUP)
        count += 1
    return count
