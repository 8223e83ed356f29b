"""Counters of refusals: per code and hour in the cache, for the console, and per code in the metrics.

A count in the cache may be lost (a flush, an outage, a cache in one process's memory).
"""

import logging
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


def count_refusal(code: str) -> None:
    """Count one refusal with this code, also in the current hour unless the cache is down."""
    REFUSALS.labels(code).inc()
    key = cache_key(timezone.now(), code)
    store = caches["default"]
    try:
        try:
            store.incr(key)
        except ValueError:  # the first of this hour, unless another process adds the key first
            if not store.add(key, 1, int(RETENTION.total_seconds())):
                store.incr(key)
    except (*STORE_ERRORS, ValueError):
        NOT_COUNTED.record()


def refusals_by_code(since: datetime, until: datetime) -> Counter[str] | None:
    """Return the number of refusals per code from the hour of `since` to before `until`; None when the cache is down.

    Counters are kept for 31 days.
    """
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
