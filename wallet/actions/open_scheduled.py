"""Scheduled credits become AVAILABLE when their time has come: by the scheduler, and by a claim that finds one or none."""

import math
from uuid import UUID

from django.db import connection

from kernel.sql import POOL_OPENING_LOCK
from kernel.transactions import atomic_with_retry
from wallet.actions.wallet_sweep import sweep_in_batches
from wallet.assets.models import AssetStatus, CashbackAsset

OPEN_DUE = """\
WITH due AS MATERIALIZED (
    SELECT id FROM assets_cashbackasset
    WHERE status = 'SCHEDULED' AND claimable_from <= statement_timestamp() {in_pool}
    ORDER BY claimable_from, id LIMIT %(limit)s FOR NO KEY UPDATE {locked}
)
UPDATE assets_cashbackasset AS asset SET status = 'AVAILABLE' FROM due WHERE asset.id = due.id
"""
OPEN_DUE_ANYWHERE = OPEN_DUE.format(in_pool="", locked="SKIP LOCKED")
OPEN_DUE_IN_POOL = OPEN_DUE.format(in_pool="AND pool_id = %(pool)s", locked="")
OPEN_ONE = """
UPDATE assets_cashbackasset SET status = 'AVAILABLE'
WHERE id = %(asset)s AND status = 'SCHEDULED' AND claimable_from <= clock_timestamp()
"""
LOCK_OPENING = f"SELECT pg_advisory_xact_lock({POOL_OPENING_LOCK.format(pool='%(pool)s::uuid')})"
BLOCK = 200  # opened by a claim, so that it does not wait long; the scheduler opens the rest


def open_due_credits(*, rest: float = 0.0, seconds: float = math.inf) -> int:
    """Open every scheduled credit that is due, a batch per transaction, and return how many (arguments: wallet_sweep).

    Safe to run twice, concurrently, late or never: PostgreSQL opens none early, and a claim opens what it needs.
    """
    return sweep_in_batches(open_batch, rest=rest, seconds=seconds)


@atomic_with_retry(idempotent=True)
def open_batch(limit: int) -> tuple[int, int]:
    """Open up to `limit` credits; return how many were found and opened."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_DUE_ANYWHERE, {"limit": limit})
        return cursor.rowcount, cursor.rowcount


@atomic_with_retry(idempotent=True)
def open_for_claims(pool_id: UUID) -> None:
    """Open the next due credits of the pool in a transaction of its own, unless another claim has just opened some.

    One claim after the other: those that waited for the same rows would each open the next ones.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_OPENING, {"pool": pool_id})
    if not CashbackAsset.objects.claimable().filter(pool=pool_id).exists():
        open_next_credits(pool_id)


def open_next_credits(pool_id: UUID, limit: int = BLOCK) -> int:
    """Open up to `limit` due credits of the pool in the caller's transaction; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_DUE_IN_POOL, {"pool": pool_id, "limit": limit})
        return int(cursor.rowcount)


@atomic_with_retry(idempotent=True)
def open_credit(asset_id: UUID) -> bool:
    """Open a scheduled credit if it is due, in a transaction of its own; return whether it is open now, by whomever."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_ONE, {"asset": asset_id})
    return not CashbackAsset.objects.filter(pk=asset_id, status=AssetStatus.SCHEDULED).exists()
