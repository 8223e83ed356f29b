"""Child processes that are started and stopped together."""

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
    """Child processes, each the leader of its own process group."""

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
        """Return the exit code of a child, None while it runs; when it has ended, send SIGTERM to its process group."""
        code = self._running[name].poll()
        if code is not None:
            _signal_group(self._running[name], signal.SIGTERM)
        return code

    def restart(self, name: str) -> None:
        """Restart a child; its old process group is killed first."""
        _kill_group(self._running[name])
        self._running[name] = self._starts[name]()

    def ended(self) -> str | None:
        """Return the name of a child that has ended, if any."""
        return next((name for name, child in self._running.items() if child.poll() is not None), None)

    def wait(self, until: Callable[[], bool] = lambda: False) -> str | None:
        """Return the name of the first child that ends, or None once `until` holds."""
        while not (ended := self.ended()) and not until():
            time.sleep(POLL_SECONDS)
        return ended

    def stop(self) -> None:
        """Stop every child and its process group: SIGTERM to the leader, SIGKILL to the group after the grace period."""
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
        # Ctrl-C in the terminal must reach the parent only, which then stops them in order.
        start_new_session=True,
    )


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    _signal_group(child, signal.SIGKILL)
    child.wait()
