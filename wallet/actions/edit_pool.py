"""Opening and changing of pools."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.models import User
from kernel.readable_text import normal_text
from kernel.transactions import atomic_with_retry, violated_constraint
from kernel.versions import Precondition, accept_any
from wallet.assets.change_context import recording_change
from wallet.assets.models import NAME_TAKEN, CreditPool, PoolNotFound

EDITABLE_FIELDS = ("name", "kind", "currency", "per_user_limit", "opens_at", "closes_at", "is_active", "time_zone")
CONSTRAINT_MESSAGES = {
    "pool_limit_positive": {"per_user_limit": "Allow at least 1 credit per user, or leave it empty for no limit."},
    "pool_closes_after_opening": {"closes_at": "The pool must close after it opens."},
    "pool_archived_is_paused": {"is_active": "This pool is archived. Unarchive it first."},
    "pool_currency": {"currency": "A pool with credits keeps its currency. Open another pool."},
    "pool_name_unique": {"name": NAME_TAKEN},
}


@atomic_with_retry(idempotent=False)
def open_pool(actor: User | None, **fields: Any) -> CreditPool:
    """Insert a pool from its fields and return it. Raises ValidationError."""
    pool = CreditPool(**fields)
    with recording_change(actor, "open"):
        save_pool(pool, force_insert=True)
    pool.refresh_from_db()
    return pool


@atomic_with_retry(idempotent=False)
def update_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any, **changes: Any) -> CreditPool:
    """Change a pool's fields and return it. A new limit or new dates apply from the next claim on.

    Raises PoolNotFound, ValidationError, and as `precondition` does on the locked pool.
    """
    pool = CreditPool.objects.filter(pk=pool_id).select_for_update(no_key=True).first()
    if pool is None:
        raise PoolNotFound
    precondition(pool)
    for name in EDITABLE_FIELDS:
        setattr(pool, name, changes.get(name, getattr(pool, name)))
    with recording_change(actor, "update"):
        save_pool(pool, update_fields=EDITABLE_FIELDS)
    return pool


def save_pool(pool: CreditPool, **options: Any) -> None:
    """Normalise its name, validate and save a pool; raise ValidationError with messages per field."""
    pool.name = normal_text(pool.name)
    pool.clean_fields(exclude=["opens_at"])
    pool.clean()
    try:
        pool.save(**options)
    except IntegrityError as error:
        if message := CONSTRAINT_MESSAGES.get(violated_constraint(error)):
            raise ValidationError(message, code="invalid") from error
        raise
