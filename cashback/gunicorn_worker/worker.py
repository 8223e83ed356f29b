"""gunicorn's threaded worker, in which a client that goes on at once is answered by the thread that answered it before."""

import contextlib
import gc
import os
from collections import Counter
from typing import Any, ClassVar
from weakref import WeakSet

from gunicorn.http.errors import ParseException

from cashback.gunicorn_worker.polling import PollingWorker
from cashback.gunicorn_worker.server_errors import server_error

LINGER_MS = 3
MAX_REQUESTS_IN_A_ROW = 100


class Worker(PollingWorker):
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
        kept = self.answer(conn)
        for _ in range(MAX_REQUESTS_IN_A_ROW):
            if kept is not True or not self.alive or not self.tpool._work_queue.empty() or not conn.has_next(LINGER_MS):
                break
            kept = self.answer(conn)
        return kept

    def answer(self, conn: Any) -> Any:
        """Answer the request that has arrived; return whether the connection is kept."""
        conn.take_request()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request; hang up afterwards when it is not known where the next one begins."""
        if not conn.is_framed_as(req.body.reader):
            req.force_close()
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        # What the application did not read of the body has arrived all the same, and is forgotten with its parser.
        return bool(keepalive)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn itself refuses, as problem+json."""
        found = server_error(exc)
        if isinstance(exc, ParseException) and found.status != 500:
            self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", exc)
        else:
            self.log.exception("Error handling request %s", getattr(req, "uri", ""))
        with contextlib.suppress(OSError):
            client.send(found.answer())
