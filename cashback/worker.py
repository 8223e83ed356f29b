"""gunicorn's threaded worker, in which a client that goes on at once is answered by the thread that answered it before."""

import gc
import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

MOMENT_MS = 3
MOST_IN_A_ROW = 100


class Worker(ThreadWorker):  # type: ignore[misc]
    """Spares a busy connection the way through the poller, the main thread and the queue: two changes of thread a request.

    A thread lingers only while nobody waits for one, and not for ever: everybody else is served as before.
    """

    def init_process(self) -> None:
        """Begin. What was made before the fork stays for good: the collector need not look through it each time."""
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
