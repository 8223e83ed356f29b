"""Rate limits: attempts counted per action, identity and period, in Redis or, without it, in this process."""

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
STORE_ERRORS = (RedisError, ConnectionInterrupted)
# The limit of one process per identity while Redis is down: enough to sign in, too few to guess a password.
LOCAL_LIMIT, LOCAL_PERIOD_SECONDS = 5, 60
# Actions without a limit while Redis is down: claims and payments are safe without one, and each process has few slots for
# expensive reads (accounts.expensive_reads). Guessing passwords is not safe.
UNLIMITED_WITHOUT_STORE = {
    *("claim", "search", "export", "personal_data", "quote", "payment", "service_quote", "service_payment")
}


class RateLimited(TooManyRequests):
    code = "rate_limited"
    meaning = _("The caller has made too many attempts in too short a time.")
    detail = _("Too many attempts. Wait as long as the Retry-After header says, then try again.")

    def __init__(self, seconds: int) -> None:
        self.retry_after = seconds  # type: ignore[misc]
        super().__init__(f"Too many attempts. Please wait {seconds} {'second' if seconds == 1 else 'seconds'}, then try again.")


def format_wait(seconds: int) -> str:
    """Return a duration in the current language, in minutes or hours (rounded up) when it is longer than two of them."""
    if seconds <= 2 * MINUTE:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    if seconds <= 2 * HOUR:
        minutes = ceil(seconds / MINUTE)
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    hours = ceil(seconds / HOUR)
    return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}


def seconds_to_wait(action: str, identity: str) -> int:
    """Count one attempt; return 0 if it is allowed, else the number of seconds until the next one is."""
    rate = settings.RATES[action]
    if rate == "off":
        return 0
    try:
        usage = get_usage(None, group=action, key=lambda *_: identity, rate=rate, increment=True)
    except STORE_ERRORS:
        NOT_COUNTED.record()
        return seconds_to_wait_without_store(action, identity)
    # django-ratelimit returns a limit of 0 when the count was lost between its two commands (a flush).
    if usage is None or usage["limit"] == 0:
        NOT_COUNTED.record()
        return seconds_to_wait_without_store(action, identity)
    return max(1, usage["time_left"]) if usage["should_limit"] else 0


def seconds_to_wait_without_store(action: str, identity: str) -> int:
    """Apply LOCAL_LIMIT, or no limit to an action that is safe without one."""
    return 0 if action in UNLIMITED_WITHOUT_STORE else seconds_to_wait_locally(action, identity)


def seconds_to_wait_locally(action: str, identity: str) -> int:
    """Do the same as seconds_to_wait in this process's memory, with LOCAL_LIMIT."""
    window, passed = divmod(int(time.time()), LOCAL_PERIOD_SECONDS)
    key = f"rate:{action}:{identity}:{window}"
    caches["local"].add(key, 0, LOCAL_PERIOD_SECONDS)
    return LOCAL_PERIOD_SECONDS - passed if caches["local"].incr(key) > LOCAL_LIMIT else 0
