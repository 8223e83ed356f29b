"""The optional distributed lock: a crowd waits at Redis so that PostgreSQL meets it one by one.

It is a courtesy, never a guard: the row lock decides. Redis losing the lock, giving it to two or being gone costs time,
never a result.
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

LOCK_TTL_SECONDS = 5  # longer than any statement may take, so that a dead holder is forgotten soon after
LOCK_WAIT_SECONDS = 1  # then go to the row lock all the same


@contextmanager
def claim_lock(asset_id: UUID) -> Iterator[None]:
    """Hold the crowd in front of one asset, when CLAIM_LOCK=redis; go on without whenever Redis does not play along."""
    lock = acquire_claim_lock(asset_id) if settings.CLAIM_LOCK == "redis" and settings.REDIS else None
    try:
        yield
    finally:
        release_claim_lock(lock)


def acquire_claim_lock(asset_id: UUID) -> Lock | None:
    """Return the lock held (redis-py's: a random token, compared by script before it is deleted), or None."""
    try:
        lock: Lock = cache.lock(  # type: ignore[attr-defined]
            f"claim:{asset_id}", timeout=LOCK_TTL_SECONDS, blocking_timeout=LOCK_WAIT_SECONDS, sleep=0.01
        )
        return lock if lock.acquire() else None
    except RedisError:
        SKIPPED.record()
        return None


def release_claim_lock(lock: Lock | None) -> None:
    """Release a lock that is still ours."""
    if lock is None:
        return
    try:
        lock.release()
    except RedisError:
        LOST.record()
