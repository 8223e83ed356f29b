"""How often one person or one address may ask; counted by django-ratelimit, never by a decorator of it.

Its decorators run before DRF knows who asks, and do not see JSON. Here an identity is a string that the door gives after
authentication, and a count costs no SQL.
"""

import logging
import time
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any, cast

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django.utils.translation import ngettext
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import audit
from accounts.models import User
from accounts.refusals import Refusal

log = logging.getLogger(__name__)
MINUTE, HOUR = 60, 3600  # seconds

STORE_DOWN = (RedisError, ConnectionInterrupted)
# What one process lets through per identity while Redis is away: enough to sign in, too little to guess.
LOCAL_LIMIT, LOCAL_SECONDS = 5, 60
# A claim is safe without a limit (PostgreSQL decides it); a guess at a password is not.
# Reads have few places in each process, whoever asks (accounts.expensive_reads).
OPEN_WITHOUT_STORE = {"claim", "search", "export"}


class RateLimited(Refusal):
    """Too many tries in too short a time."""

    code = "rate_limited"
    detail = "Too many tries."

    def __init__(self, seconds: int) -> None:
        self.retry_after = seconds  # type: ignore[misc]
        super().__init__(f"Too many tries. Wait {seconds} {'second' if seconds == 1 else 'seconds'} and try again.")


def spoken(seconds: int) -> str:
    """Return a wait as people say it, in the reader's language: whole minutes or hours when it is more than two, rounded up."""
    if seconds <= 2 * MINUTE:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    if seconds <= 2 * HOUR:
        minutes = ceil(seconds / MINUTE)
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    hours = ceil(seconds / HOUR)
    return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}


def check(action: str, *identities: str) -> None:
    """Count one try of `action` (a name in settings.RATES) for each identity in turn.

    Raises RateLimited at the first identity that is over its limit: a refused try is charged to none that comes after it.
    """
    for identity in identities:
        if wait := seconds_to_wait(action, identity):
            audit.record("limit", "refused", action=action, counted=identity)
            raise RateLimited(wait)


def check_claim(user: User) -> None:
    """Count one claim for the user, wherever they ask from."""
    check("claim", f"user:{user.pk}")


def check_sign_in(request: HttpRequest | Request, email: str) -> None:
    """Count one sign-in for the caller's address, then for the email at this address. Call it before hashing a password.

    Nobody at another address is charged, so that nobody can use up the tries of an email that is not theirs.
    """
    caller = address(request)
    check("sign_in", caller, f"{email_identity(email)},{caller}")


def check_password_change(request: HttpRequest | Request, user: User) -> None:
    """Count one guess at the user's present password at this address, limited as sign-in is. Call it before hashing."""
    check("sign_in", f"user:{user.pk},{address(request)}")


def count_wrong_password(email: str) -> None:
    """Count one wrong password for the email, from whatever address; raise RateLimited when there were too many.

    Call it after the password was found wrong: a right one is never refused for what others tried.
    """
    check("wrong_password", email_identity(email))


def check_registration(request: HttpRequest | Request) -> None:
    """Count one registration for the caller's address. Call it before any password is hashed."""
    check("register", address(request))


def seconds_to_wait(action: str, identity: str) -> int:
    """Count one try and return 0 when it is allowed, else after how many seconds the next may be."""
    rate = settings.RATES[action]
    if rate == "off":
        return 0
    try:
        usage = get_usage(None, group=action, key=lambda *_: identity, rate=rate, increment=True)
    except STORE_DOWN:
        usage = None
    # A limit of 0 is no rate of ours: so django-ratelimit says that the count was lost between its two commands (a flush).
    if usage is None or usage["limit"] == 0:
        log.warning("rate limit %s: Redis does not count", action)
        return 0 if action in OPEN_WITHOUT_STORE else seconds_to_wait_here(action, identity)
    return max(1, usage["time_left"]) if usage["should_limit"] else 0


def seconds_to_wait_here(action: str, identity: str) -> int:
    """Do the same in this process's memory, with the small local limit."""
    window, passed = divmod(int(time.time()), LOCAL_SECONDS)
    key = f"rate:{action}:{identity}:{window}"
    caches["local"].add(key, 0, LOCAL_SECONDS)
    return LOCAL_SECONDS - passed if caches["local"].incr(key) > LOCAL_LIMIT else 0


def email_identity(email: str) -> str:
    """Return the same identity for an email however it is typed, and not the email itself: keys are seen by operators."""
    return f"email:{audit.digest(email)}"


def address(request: HttpRequest | Request) -> str:
    """Return whom to count for an anonymous caller: the IPv4 address, or the IPv6 network that one household gets."""
    ip = client_ip(request)
    return f"ip:{ip_network((ip, 64), strict=False) if ':' in ip else ip}"


def client_ip(request: HttpRequest | Request) -> str:
    """Return the caller's address: the n-th from the right of X-Forwarded-For behind n proxies of ours, else the peer's.

    Whoever calls writes the left of that header, so with no proxy of ours it is not read at all.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    forwarded = hops[-trusted] if 0 < trusted <= len(hops) else ""
    return parsed(forwarded) or parsed(request.META.get("REMOTE_ADDR", "")) or "unknown"


@lru_cache(maxsize=4096)
def parsed(text: str) -> str:
    """Return the address in its one normal form, or nothing when it is none."""
    try:
        ip = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(ip.packed))
    return str(ip)


class ClaimThrottle(BaseThrottle):
    """Lets one user claim so many times a minute (RATE_CLAIM); counted after authentication, per user and not per address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count this claim; the refusal is raised, with its Retry-After."""
        check_claim(cast(User, request.user))
        return True
