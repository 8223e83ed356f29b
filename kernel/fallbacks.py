"""Fallbacks that are never silent: each is counted for /metrics and logged with its traceback, at most once per period."""

import logging
import sys
import threading
import time
from typing import ClassVar

from prometheus_client import Counter

from kernel.metrics import REGISTRY

LOG_PERIOD_SECONDS = 10.0
FALLBACKS = Counter("cashback_fallbacks", "Uses of each fallback after an error.", ["fallback"], registry=REGISTRY)


class Fallback:
    """One place in the code that goes on in another way after an error.

    Arguments:
        name: the label of its counter in /metrics, e.g. "asset_claims.batch_failed".
        message: what the log says; the traceback of the current exception, if any, follows.
    """

    instances: ClassVar[list["Fallback"]] = []

    def __init__(self, name: str, message: str, log: logging.Logger) -> None:
        self.name, self.message, self.log = name, message, log
        self.count = 0
        self.uses_metric = FALLBACKS.labels(name)
        self._mutex = threading.Lock()
        self._next_log_at = 0.0
        self.instances.append(self)

    def record(self) -> None:
        """Count one use, and log it unless it was logged within the last LOG_PERIOD_SECONDS."""
        with self._mutex:
            self.count += 1
            now = time.monotonic()
            is_due, count = now >= self._next_log_at, self.count
            if is_due:
                self._next_log_at = now + LOG_PERIOD_SECONDS
        self.uses_metric.inc()
        if is_due:
            in_handler = sys.exc_info()[0] is not None
            self.log.error("%s (%d times since this process started)", self.message, count, exc_info=in_handler)
