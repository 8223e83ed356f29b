"""Counting attempts per identity and period, in Redis or in this process."""

import logging
import time
from math import ceil

from django.conf import settings
from django.core.cache import caches
from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from kernel.fallbacks import Fallback
from kernel.refusals import TooManyRequests

log = logging.getLogger(__name__)
NOT_COUNTED = Fallback("rate_limits.not_counted", "rate limits: Redis does not count attempts", log)


MINUTE, HOUR = 60, 3600  # seconds


STORE_DOWN = (RedisError, ConnectionInterrupted)


# What one process lets through per identity while Redis is away: enough to sign in, too little to guess.
LOCAL_LIMIT, LOCAL_SECONDS = 5, 60


# A claim is safe without a limit (PostgreSQL decides it); a guess at a password is not.
# Reads have few places in each process, whoever asks (accounts.expensive_reads).
OPEN_WITHOUT_STORE = {"claim", "search", "export"}


class RateLimited(TooManyRequests):
    code = "rate_limited"
    meaning = _("The caller has made too many attempts in too short a time.")
    detail = _("Too many tries. Wait as long as the Retry-After header says, then try again.")

    def __init__(self, seconds: int) -> None:
        self.retry_after = seconds  # type: ignore[misc]
        super().__init__(f"Too many tries. Wait {seconds} {'second' if seconds == 1 else 'seconds'} and try again.")


def format_wait(seconds: int) -> str:
    """Return a wait as people say it, in the reader's language: whole minutes or hours when it is more than two, rounded up."""
    if seconds <= 2 * MINUTE:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    if seconds <= 2 * HOUR:
        minutes = ceil(seconds / MINUTE)
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    hours = ceil(seconds / HOUR)
    return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}


def seconds_to_wait(action: str, identity: str) -> int:
    """Count one try and return 0 when it is allowed, else after how many seconds the next may be."""
    rate = settings.RATES[action]
    if rate == "off":
        return 0
    try:
        usage = get_usage(None, group=action, key=lambda *_: identity, rate=rate, increment=True)
    except STORE_DOWN:
        NOT_COUNTED.record()
        return seconds_to_wait_without_store(action, identity)
    # No rate has a limit of 0: django-ratelimit returns it when the count was lost between its two commands (a flush).
    if usage is None or usage["limit"] == 0:
        NOT_COUNTED.record()
        return seconds_to_wait_without_store(action, identity)
    return max(1, usage["time_left"]) if usage["should_limit"] else 0


def seconds_to_wait_without_store(action: str, identity: str) -> int:
    """Apply the local limit, or none to an action that is safe without one."""
    return 0 if action in OPEN_WITHOUT_STORE else seconds_to_wait_here(action, identity)


def seconds_to_wait_here(action: str, identity: str) -> int:
    """Do the same in this process's memory, with the small local limit."""
    window, passed = divmod(int(time.time()), LOCAL_SECONDS)
    key = f"rate:{action}:{identity}:{window}"
    caches["local"].add(key, 0, LOCAL_SECONDS)
    return LOCAL_SECONDS - passed if caches["local"].incr(key) > LOCAL_LIMIT else 0
