"""What an operator does with a whole pool: pause, resume, archive, unarchive, duplicate, and delete while it is empty.

Each takes a precondition on the pool and raises what that raises.
"""

from typing import Any
from uuid import UUID

from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import Conflict
from kernel.transactions import atomic_with_retry
from kernel.versions import Precondition, accept_any
from wallet.actions import edit_pool
from wallet.assets.change_context import recording_change
from wallet.assets.models import CashbackAsset, CreditPool, Issuance, PoolNotFound, SupplyDelta

DUPLICATED_FIELDS = (
    *("kind", "currency", "per_user_limit", "period_limit", "limit_period", "opens_at", "closes_at", "time_zone"),
    *("grants_only", "approval_threshold"),
)


class PoolNotEmpty(Conflict):
    code = "pool_not_empty"
    meaning = _("Credits were issued in the pool, so it is kept.")
    detail = _("This pool has had credits and can't be deleted. Archive it instead.")


def lock_pool(pool_id: UUID, *, against_new_credits: bool = False) -> CreditPool:
    """Return the pool, locked against changes, and against new credits if wanted; raise PoolNotFound."""
    pool = CreditPool.objects.filter(pk=pool_id).select_for_update(no_key=not against_new_credits).first()
    if pool is None:
        raise PoolNotFound
    return pool


def pause_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> CreditPool:
    """Stop claims and hide the pool from users. Raises PoolNotFound."""
    return edit_pool.update_pool(pool_id, actor, precondition, is_active=False)


def resume_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> CreditPool:
    """Show the pool to users again and accept claims. Raises PoolNotFound, and ValidationError if it is archived."""
    return edit_pool.update_pool(pool_id, actor, precondition, is_active=True)


@atomic_with_retry(idempotent=False)
def archive_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> CreditPool:
    """Pause the pool and hide it from the default lists of operators too; all its records are kept. Raises PoolNotFound."""
    pool = lock_pool(pool_id)
    precondition(pool)
    if pool.archived_at is None:
        save_changes(pool, actor, "archive", is_active=False, archived_at=Now())
    return pool


@atomic_with_retry(idempotent=False)
def unarchive_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> CreditPool:
    """Return an archived pool to the lists of operators. It stays paused. Raises PoolNotFound."""
    pool = lock_pool(pool_id)
    precondition(pool)
    if pool.archived_at is not None:
        save_changes(pool, actor, "unarchive", archived_at=None)
    return pool


def save_changes(pool: CreditPool, actor: User | None, action: str, **changes: Any) -> None:
    """Write the changes of a locked pool under the name of the action."""
    for name, value in changes.items():
        setattr(pool, name, value)
    with recording_change(actor, action):
        pool.save(update_fields=list(changes))
    pool.refresh_from_db()


def duplicate_pool(pool_id: UUID, actor: User | None, name: str, precondition: Precondition = accept_any) -> CreditPool:
    """Open a paused pool with the settings of another one, without its credits. Raises PoolNotFound, ValidationError."""
    pool = CreditPool.objects.filter(pk=pool_id).first()
    if pool is None:
        raise PoolNotFound
    precondition(pool)
    settings = {field: getattr(pool, field) for field in DUPLICATED_FIELDS}
    return edit_pool.open_pool(actor, name=name.strip(), is_active=False, **settings)


@atomic_with_retry(idempotent=False)
def delete_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> None:
    """Delete a pool that never had a credit. Raises PoolNotFound, PoolNotEmpty."""
    pool = lock_pool(pool_id, against_new_credits=True)
    precondition(pool)
    check_empty(pool)
    with recording_change(actor, "delete"):
        CreditPool.objects.filter(pk=pool.pk)._raw_delete("default")


def check_empty(pool: CreditPool) -> None:
    """Raise PoolNotEmpty if credits were issued in the pool, or moved into it, even if none is there any more."""
    for model in (Issuance, CashbackAsset, SupplyDelta):
        if model._default_manager.filter(pool=pool).exists():
            raise PoolNotEmpty
