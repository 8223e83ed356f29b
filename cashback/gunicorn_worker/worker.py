"""The gunicorn worker class: busy keep-alive connections stay with their thread, and workers are pinned to cores."""

import contextlib
import gc
import os
from typing import Any, ClassVar

from gunicorn.http.errors import ParseException

from cashback.gunicorn_worker.polling import PollingWorker
from cashback.gunicorn_worker.server_errors import server_error
from kernel import metric_slots
from kernel.request_id import new_request_id

LINGER_MS = 3
MAX_REQUESTS_IN_A_ROW = 100


class Worker(PollingWorker):
    """A thread waits up to LINGER_MS for the connection's next request, which saves two thread switches through the poller.

    It does so only while no other request is queued, and for at most MAX_REQUESTS_IN_A_ROW requests.

    If the number of workers is a multiple of the number of cores, each worker is pinned to a core. Its threads never run in
    parallel (the GIL), so that a second core would gain nothing and lose the cache of the first.
    """

    metrics_are_prepared: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Choose the core in the parent process, which knows the other workers."""
        super().__init__(*args, **kwargs)
        self.core = self.choose_core()

    @classmethod
    def setup(cls) -> None:
        """Prepare the metrics in the parent process, before the application is loaded (gunicorn calls this at its start)."""
        if not cls.metrics_are_prepared:
            metric_slots.prepare_folder()
        cls.metrics_are_prepared = True

    def choose_core(self) -> int | None:
        """Return the core of this worker's place; None if workers cannot be distributed evenly."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if not cores or self.place is None or self.cfg.workers % len(cores):
            return None
        return cores[self.place % len(cores)]

    def init_process(self) -> None:
        """Pin the process to its core, and exclude objects created before the fork from garbage collection."""
        if self.core is not None:
            with contextlib.suppress(OSError):  # not permitted on some systems
                os.sched_setaffinity(0, {self.core})
        gc.freeze()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Process a request and those that follow within LINGER_MS; return whether the connection is kept alive."""
        keep_alive = self.process_request(conn)
        for _ in range(MAX_REQUESTS_IN_A_ROW):
            if keep_alive is not True or not self.alive or not self.tpool._work_queue.empty() or not conn.has_next(LINGER_MS):
                break
            keep_alive = self.process_request(conn)
        return keep_alive

    def process_request(self, conn: Any) -> Any:
        """Process the received request; return whether the connection is kept alive."""
        conn.take_request()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Process a request; close afterwards if the start of the next request is uncertain."""
        if not conn.is_framed_as(req.body.reader):
            req.force_close()
        conn.sock.start_response()
        keep_alive = super().handle_request(req, conn)
        conn.sock.finish_response()
        return keep_alive

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        # Unread parts of the body have been received already and are discarded with the parser.
        return bool(keepalive)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Respond with problem+json to requests that gunicorn rejects."""
        problem, request_id = server_error(exc), new_request_id()
        if isinstance(exc, ParseException) and problem.status != 500:
            self.log.warning("[%s] Invalid request from ip=%s: %s", request_id, addr[0] if addr else "", exc)
        else:
            self.log.exception("[%s] Error handling request %s", request_id, getattr(req, "path", ""))
        with contextlib.suppress(OSError):
            client.send(problem.response(request_id))
