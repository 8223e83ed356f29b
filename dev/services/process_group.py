"""Child processes that live and end together."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1


class ProcessGroup:
    """Processes started here, each the head of its own process group."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts: dict[str, Callable[[], subprocess.Popen[bytes]]] = {}

    def start(
        self, name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> None:
        """Start `command` in `folder`; `descriptors` stay open in it. It gets SIGTERM should this process be killed."""
        self._starts[name] = partial(_started, command, folder, environ, descriptors)
        self._running[name] = self._starts[name]()

    def exit_code(self, name: str) -> int | None:
        """Return how a child ended, None while it runs; what it started and left behind is asked to end with it."""
        code = self._running[name].poll()
        if code is not None:
            _signal_group(self._running[name], signal.SIGTERM)
        return code

    def restart(self, name: str) -> None:
        """Start a child again as it was started before; whatever is left of the one that ended is killed first."""
        _kill_group(self._running[name])
        self._running[name] = self._starts[name]()

    def ended(self) -> str | None:
        """Return the name of a child that ended by itself, if any."""
        return next((name for name, child in self._running.items() if child.poll() is not None), None)

    def wait(self, until: Callable[[], bool] = lambda: False) -> str | None:
        """Return the name of the first child that ends, or None once `until` holds."""
        while not (ended := self.ended()) and not until():
            time.sleep(POLL_SECONDS)
        return ended

    def stop(self) -> None:
        """End every child and all that they started: SIGTERM to each head, SIGKILL to what is left after the grace."""
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            _kill_group(child)
        self._running.clear()


def _started(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], descriptors: Sequence[int]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dev.services.die_with_parent", str(os.getpid()), *command],
        cwd=folder,
        env=dict(environ),
        pass_fds=descriptors,
        # Ctrl-C in the terminal must reach the starter only, who then ends them in good order.
        start_new_session=True,
    )


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    _signal_group(child, signal.SIGKILL)
    child.wait()
