"""gunicorn's threaded worker, in which a client that goes on at once is answered by the thread that answered it before."""

import contextlib
import gc
import os
import select
from collections import Counter
from typing import Any, ClassVar
from weakref import WeakSet

from gunicorn.workers.gthread import ThreadWorker

MOMENT_MS = 3
MOST_IN_A_ROW = 100


class Worker(ThreadWorker):  # type: ignore[misc]
    """Spares a busy connection the way through the poller, the main thread and the queue: two changes of thread a request.

    A thread lingers only while nobody waits for one, and not for ever: everybody else is served as before.

    Where each core has as many workers, each worker keeps to one. Its threads never run at the same time, so that they gain
    nothing by a second core, and lose what a thread leaves in the cache of the first.
    """

    living: ClassVar[WeakSet["Worker"]] = WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare a worker, in the process that will fork it: there one knows of the others."""
        super().__init__(*args, **kwargs)
        self.core = self.free_core()
        self.living.add(self)

    def free_core(self) -> int | None:
        """Return the core that the fewest living workers keep to; None where the cores cannot be shared out evenly."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if not cores or self.cfg.workers % len(cores):
            return None
        kept = Counter(each.core for each in self.living)
        return min(cores, key=lambda core: kept[core])

    def init_process(self) -> None:
        """Begin. What was made before the fork stays for good: the collector need not look through it each time."""
        if self.core is not None:
            with contextlib.suppress(OSError):  # where the system does not allow it, it chooses itself
                os.sched_setaffinity(0, {self.core})
        gc.freeze()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Answer a request, and the next ones that come within a moment; return whether the connection is kept."""
        kept = super().handle(conn)
        for _ in range(MOST_IN_A_ROW):
            if kept is not True or not self.alive or not self.tpool._work_queue.empty() or not speaks(conn):
                break
            kept = super().handle(conn)
        return kept


def speaks(conn: Any) -> bool:
    """Wait a moment and tell whether the client sends something, be it that it hangs up."""
    waiting = select.poll()
    waiting.register(conn.sock, select.POLLIN)
    return bool(waiting.poll(MOMENT_MS))
