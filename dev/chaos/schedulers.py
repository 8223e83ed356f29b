"""Scheduler processes as an experiment holds them: started, killed at any moment, and started again."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from typing import Any

from dev.chaos.scheduler_process import SchedulerPlan, run_scheduler
from wallet.verification.checker import Violation

WAIT_SECONDS = 60  # for a task that runs once

# Each scheduler is forked from a process that has imported the product: killed often, it must start fast.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["dev.chaos.set_up_django", "dev.chaos.scheduler_process"])


@dataclass
class Scheduler:
    """One scheduler: a process after the other, each by the plan."""

    plan: SchedulerPlan
    kills: int = 0
    ended: list[int | None] = field(default_factory=list)
    process: ForkServerProcess | None = None

    def start(self, **changes: Any) -> None:
        """Start a process, by the plan with these changes."""
        self.process = CONTEXT.Process(target=run_scheduler, args=(replace(self.plan, **changes),), daemon=True)
        self.process.start()

    def kill(self) -> None:
        """Kill the process (SIGKILL)."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def wait(self) -> bool:
        """Wait until the process has ended; return whether it was killed."""
        assert self.process is not None
        self.process.join(WAIT_SECONDS)
        code, self.process = self.process.exitcode, None
        self.ended.append(code)
        self.kills += code == -signal.SIGKILL
        return code == -signal.SIGKILL

    def run_once(self, **changes: Any) -> bool:
        """Run a process until it ends; return whether it killed itself."""
        self.start(**changes)
        return self.wait()

    def complaints(self) -> list[Violation]:
        """Return a violation for each process that ended by itself with an error, or did not end."""
        return [
            Violation("scheduler", f"a scheduler ended with {code}") for code in self.ended if code not in (0, -signal.SIGKILL)
        ]


@contextmanager
def running_schedulers(plan: SchedulerPlan, number: int = 2) -> Iterator[list[Scheduler]]:
    """Run schedulers on the same database; kill them at the end."""
    schedulers = [Scheduler(plan) for _ in range(number)]
    try:
        for scheduler in schedulers:
            scheduler.start()
        yield schedulers
    finally:
        for scheduler in schedulers:
            if scheduler.process is not None:
                scheduler.kill()
