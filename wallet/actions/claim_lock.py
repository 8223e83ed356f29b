"""The optional distributed lock of a claim: concurrent claims of one asset queue in Redis instead of in PostgreSQL.

It reduces contention and guards nothing: the row lock decides. If Redis loses the lock, grants it twice or is down, claims
take longer but stay correct.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from redis.lock import Lock

from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
SKIPPED = Fallback("claim_lock.skipped", "a claim lock was skipped: Redis does not answer", log)
LOST = Fallback("claim_lock.lost", "a claim lock was lost before its release", log)

LOCK_TTL_SECONDS = 5  # the statement timeout: the lock of a dead holder expires soon after
LOCK_TIMEOUT_SECONDS = 1  # after it the claim goes on without the lock


@contextmanager
def claim_lock(asset_id: UUID) -> Iterator[None]:
    """Hold the asset's lock in Redis during the block if CLAIM_LOCK=redis; proceed without it if it cannot be acquired."""
    lock = acquire_claim_lock(asset_id) if settings.CLAIM_LOCK == "redis" and settings.REDIS else None
    try:
        yield
    finally:
        release_claim_lock(lock)


def acquire_claim_lock(asset_id: UUID) -> Lock | None:
    """Return the acquired lock (redis-py's, which is released only by its random token), or None."""
    try:
        lock: Lock = cache.lock(  # type: ignore[attr-defined]
            f"claim:{asset_id}", timeout=LOCK_TTL_SECONDS, blocking_timeout=LOCK_TIMEOUT_SECONDS, sleep=0.01
        )
        return lock if lock.acquire() else None
    except RedisError:
        SKIPPED.record()
        return None


def release_claim_lock(lock: Lock | None) -> None:
    """Release the lock if it has not expired."""
    if lock is None:
        return
    try:
        lock.release()
    except RedisError:
        LOST.record()
