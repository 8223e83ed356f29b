"""How often which refusal was told, by the hour: counted in the cache, for a person to look at, never to decide by.

A count may be lost (a flush, an outage, a store in one process's memory) and costs a claim nothing.
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
    """Count one refusal with this code in the present hour; do nothing when the store is away."""
    key = cache_key(timezone.now(), code)
    store = caches["default"]
    try:
        try:
            store.incr(key)
        except ValueError:  # the first of this hour; should two be first at once, the second one's count is added
            if not store.add(key, 1, int(RETENTION.total_seconds())):
                store.incr(key)
    except (*STORE_DOWN, ValueError):
        NOT_COUNTED.record()


def refusals_by_code(since: datetime, until: datetime) -> Counter[str] | None:
    """Return how often each code was told from the hour of `since` to before `until`, 31 days back at most.

    None when the store is away.
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


def cache_key(instant: datetime, code: str) -> str:
    """Return under which name an hour's refusals of one code are counted."""
    return f"refused:{instant.astimezone(UTC):%Y%m%d%H}:{code}"
