"""Refusals counted by code and hour in the cache, for reports only.

Counts may be lost (a flush, an outage, a cache in one process's memory). No decision depends on them.
"""

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.core.cache import caches
from django.utils import timezone

from kernel.fallbacks import Fallback
from kernel.rate_limits import STORE_DOWN
from kernel.refusals import all_refusals

log = logging.getLogger(__name__)
NOT_COUNTED = Fallback("refusal_counts.not_counted", "a refusal was not counted: Redis does not answer", log)
NOT_READ = Fallback("refusal_counts.not_read", "refusal counts were not read: Redis does not answer", log)
RETENTION = timedelta(days=31)
HOUR = timedelta(hours=1)


def count_refusal(code: str) -> None:
    """Count one refusal with this code in the current hour, unless Redis does not answer."""
    key = cache_key(timezone.now(), code)
    store = caches["default"]
    try:
        try:
            store.incr(key)
        except ValueError:  # the first of this hour; if two are first at once, the second one increments
            if not store.add(key, 1, int(RETENTION.total_seconds())):
                store.incr(key)
    except (*STORE_DOWN, ValueError):
        NOT_COUNTED.record()


def refusals_by_code(since: datetime, until: datetime) -> Counter[str] | None:
    """Return the counts by code from the hour of `since` to before `until`, at most 31 days back.

    None if Redis does not answer.
    """
    start = max(since, until - RETENTION).replace(minute=0, second=0, microsecond=0)
    hours = [start + HOUR * number for number in range(-((start - until) // HOUR))]
    keys = {cache_key(hour, code): code for hour in hours for code in {refusal.code for refusal in all_refusals()}}
    try:
        found = caches["default"].get_many(keys)
    except STORE_DOWN:
        NOT_READ.record()
        return None
    total: Counter[str] = Counter()
    for key, number in found.items():
        total[keys[key]] += number
    return total


def cache_key(hour: datetime, code: str) -> str:
    """Return the key of the count of a code in an hour."""
    return f"refused:{hour.astimezone(UTC):%Y%m%d%H}:{code}"
