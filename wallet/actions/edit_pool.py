"""Opening and changing of pools."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.models import User
from kernel.transactions import atomic_with_retry, violated_constraint
from wallet.assets.change_context import recording_change
from wallet.assets.models import CreditPool, PoolNotFound

POLICIES = (
    *("pending_for", "valid_for", "ends_with_day", "valid_until", "draw_priority", "service", "refund_grace_days"),
    "clawback_reach",
)
EDITABLE_FIELDS = (
    *("name", "kind", "currency", "per_user_limit", "opens_at", "closes_at", "is_active", "time_zone"),
    *POLICIES,
)
CONSTRAINT_MESSAGES = {
    "pool_limit_positive": {"per_user_limit": "Allow at least 1 credit per user, or leave it empty for no limit."},
    "pool_closes_after_opening": {"closes_at": "The pool must close after it opens."},
    "pool_validity_possible": {"valid_for": "Credits must be valid for more than no time; a day's end needs a validity."},
    "pool_currency": {"currency": "A pool with credits keeps its currency. Open another pool."},
    "assets_creditpool_name_key": {"name": "There is a pool with this name. Choose another name."},
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
def update_pool(pool_id: UUID, actor: User | None, **changes: Any) -> CreditPool:
    """Change a pool's fields and return it. A new limit or new dates apply from the next claim on.

    Raises PoolNotFound, ValidationError.
    """
    pool = CreditPool.objects.filter(pk=pool_id).select_for_update(no_key=True).first()
    if pool is None:
        raise PoolNotFound
    for name in EDITABLE_FIELDS:
        setattr(pool, name, changes.get(name, getattr(pool, name)))
    with recording_change(actor, "update"):
        save_pool(pool, update_fields=EDITABLE_FIELDS)
    return pool


def save_pool(pool: CreditPool, **options: Any) -> None:
    """Validate and save a pool; raise ValidationError with messages per field."""
    pool.clean_fields(exclude=["opens_at"])
    pool.clean()
    try:
        pool.save(**options)
    except IntegrityError as error:
        if message := CONSTRAINT_MESSAGES.get(violated_constraint(error)):
            raise ValidationError(message, code="invalid") from error
        raise
