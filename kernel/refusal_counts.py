"""Counters of refusals: per code and hour in the cache, for the console, and per code in the metrics.

A process writes its counts to the cache once a second: a command per refusal took a sixth of the web's CPU when 500 users
claimed one credit. A count in the cache may be lost: the process ends, Redis is flushed or down, or the cache is one process's.
"""

import logging
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.core.cache import caches
from django.utils import timezone
from prometheus_client import Counter as MetricCounter

from kernel.fallbacks import Fallback
from kernel.metrics import REGISTRY
from kernel.rate_limits import STORE_ERRORS
from kernel.refusals import all_refusals

log = logging.getLogger(__name__)
NOT_COUNTED = Fallback("refusal_counts.not_counted", "a refusal was not counted: Redis does not answer", log)
NOT_READ = Fallback("refusal_counts.not_read", "refusal counts were not read: Redis does not answer", log)
REFUSALS = MetricCounter("cashback_refusals", "Requests refused, by code.", ["code"], registry=REGISTRY)
RETENTION = timedelta(days=31)
HOUR = timedelta(hours=1)
WRITE_SECONDS = 1.0


class UnwrittenCounts:
    """The counts of this process that are not in the cache yet, by key."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.is_due = False  # a timer will write them
        self.counting, self.writing = threading.Lock(), threading.Lock()

    def add(self, key: str) -> None:
        """Count one under this key; it is written within WRITE_SECONDS."""
        with self.counting:
            self.counts[key] += 1
            if self.is_due:
                return
            self.is_due = True
        timer = threading.Timer(WRITE_SECONDS, self.write)
        timer.daemon = True
        timer.start()

    def write(self) -> None:
        """Write the counts to the cache; they are lost if it is down. Afterwards nothing counted before is unwritten."""
        with self.writing:
            with self.counting:
                counts, self.counts, self.is_due = self.counts, Counter(), False
            for key, number in counts.items():
                add_to_cache(key, number)


UNWRITTEN = UnwrittenCounts()


def count_refusal(code: str) -> None:
    """Count one refusal with this code, also in the current hour unless the cache is down."""
    REFUSALS.labels(code).inc()
    UNWRITTEN.add(cache_key(timezone.now(), code))


def add_to_cache(key: str, number: int) -> None:
    """Add to a counter in the cache, which is created if need be and kept for RETENTION."""
    store = caches["default"]
    try:
        try:
            store.incr(key, number)
        except ValueError:  # the first of this hour, unless another process adds the key first
            if not store.add(key, number, int(RETENTION.total_seconds())):
                store.incr(key, number)
    except (*STORE_ERRORS, ValueError):
        NOT_COUNTED.record()


def refusals_by_code(since: datetime, until: datetime) -> Counter[str] | None:
    """Return the number of refusals per code from the hour of `since` to before `until`; None when the cache is down.

    Counters are kept for 31 days. Those of other processes' last second are missing.
    """
    UNWRITTEN.write()
    start = max(since, until - RETENTION).replace(minute=0, second=0, microsecond=0)
    hours = [start + HOUR * number for number in range(-((start - until) // HOUR))]
    keys = {cache_key(hour, code): code for hour in hours for code in {refusal.code for refusal in all_refusals()}}
    try:
        counts = caches["default"].get_many(keys)
    except STORE_ERRORS:
        NOT_READ.record()
        return None
    total: Counter[str] = Counter()
    for key, count in counts.items():
        total[keys[key]] += count
    return total


def cache_key(time: datetime, code: str) -> str:
    """Return the key of the counter for one code in the hour of `time`."""
    return f"refused:{time.astimezone(UTC):%Y%m%d%H}:{code}"
