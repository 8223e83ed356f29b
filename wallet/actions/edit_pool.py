"""Opening and changing of pools."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User
from kernel.constraint_words import violations_in_words
from kernel.readable_text import normal_text
from kernel.transactions import atomic_with_retry
from kernel.validation import Errors, collect_errors, raise_errors
from kernel.versions import Precondition, accept_any
from wallet.actions.approvals import ApprovalRequired, Draft, approvals_checked, awaiting_approval
from wallet.actions.issue_on_demand import issue_next_credits
from wallet.actions.proposal_parameters import ThresholdParameters
from wallet.assets.change_context import recording_change
from wallet.assets.constraint_words import WORDS
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind, PoolNotFound
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.models import ProposalKind
from wallet.money import format_amount

POLICIES = (
    *("pending_for", "valid_for", "ends_with_day", "valid_until", "draw_priority", "service", "refund_grace_days"),
    "clawback_reach",
)
ON_DEMAND = ("budget", "credit_title", "credit_value", "credit_lifetime")
EDITABLE_FIELDS = (
    *("name", "kind", "currency", "per_user_limit", "period_limit", "limit_period", "opens_at", "closes_at"),
    *("is_active", "grants_only", "time_zone"),
    *ON_DEMAND,
    *POLICIES,
    "approval_threshold",
)
# What an operator sees of a pool and changes: its version.
VERSION = (*EDITABLE_FIELDS, "archived_at")


@atomic_with_retry(idempotent=False)
def open_pool(actor: User | None, **fields: Any) -> CreditPool:
    """Insert a pool from its fields and return it. Raises ValidationError."""
    pool = CreditPool(**fields)
    with recording_change(actor, "open"):
        save_pool(pool, force_insert=True)
    pool.refresh_from_db()
    issue_next_credits(pool.pk)
    return pool


def update_pool(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any, **changes: Any) -> CreditPool:
    """Change a pool's fields and return it. A new limit or new dates apply from the next claim on.

    Raises AwaitsApproval to raise or remove the approval threshold, PoolNotFound, ValidationError, and as `precondition` does
    on the locked pool.
    """
    try:
        return update_at_once(pool_id, actor, precondition, **changes)
    except ApprovalRequired:
        draft = draft_threshold(pool_id, actor, **changes)
    raise awaiting_approval(draft)


def draft_threshold(pool_id: UUID, actor: User | None, **changes: Any) -> Draft:
    """Return the proposal of a new approval threshold. Raises ValidationError when something else is changed with it."""
    pool = CreditPool.objects.get(pk=pool_id)
    if {name for name, value in changes.items() if getattr(pool, name) != value} != {"approval_threshold"}:
        message = _("Another operator must approve raising or removing the threshold. Save that change on its own.")
        raise ValidationError({"approval_threshold": ValidationError(message, code="approval")})
    threshold = changes["approval_threshold"]
    shown = {
        "threshold": None if pool.approval_threshold is None else format_amount(pool.approval_threshold, pool.currency),
        "new_threshold": None if threshold is None else format_amount(threshold, pool.currency),
    }
    digest = fingerprint("threshold", pool_id, threshold)
    return Draft(ProposalKind.THRESHOLD, pool, threshold, ThresholdParameters(threshold), shown, digest, actor)


def write_update(pool_id: UUID, actor: User | None, precondition: Precondition = accept_any, **changes: Any) -> CreditPool:
    """Change a pool within the caller's transaction; see update_pool. Raises ApprovalRequired."""
    pool = CreditPool.objects.filter(pk=pool_id).select_for_update(no_key=True).first()
    if pool is None:
        raise PoolNotFound
    precondition(pool)
    for name in EDITABLE_FIELDS:
        setattr(pool, name, changes.get(name, getattr(pool, name)))
    if "opens_at" in changes:
        check_credits_end_after_opening(pool)
    with recording_change(actor, "update"):
        save_pool(pool, update_fields=EDITABLE_FIELDS)
    if not changes.keys().isdisjoint({*ON_DEMAND, "is_active"}):
        issue_next_credits(pool.pk)
    return pool


update_at_once = atomic_with_retry(idempotent=False)(write_update)


def save_pool(pool: CreditPool, **options: Any) -> None:
    """Normalise its name, validate and save a pool; raise ValidationError with the errors of all fields."""
    pool.name = normal_text(pool.name)
    errors: Errors = {}
    collect_errors(errors, pool.clean_fields, ["opens_at"])
    collect_errors(errors, pool.clean)
    collect_errors(errors, pool.validate_constraints, errors.keys())
    raise_errors(errors)
    with approvals_checked(), violations_in_words(WORDS):
        pool.save(**options)


def check_fields(**given: Any) -> None:
    """Raise ValidationError with the errors of some of a pool's fields, whatever the others will be."""
    pool = CreditPool(**({"name": "?", "kind": PoolKind.PROMOTION, "currency": "INR"} | given))
    errors: Errors = {}
    collect_errors(errors, pool.clean_fields, ["opens_at"])
    collect_errors(errors, pool.validate_constraints, errors.keys())
    raise_errors(errors)


def check_credits_end_after_opening(pool: CreditPool) -> None:
    """Raise ValidationError if a credit that can still be claimed would end before the pool opens."""
    if CashbackAsset.objects.claimable().filter(pool=pool, expires_at__lte=pool.opens_at).exists():
        message = _("Some credits of this pool would end before it opens. Choose an earlier time, or extend the credits first.")
        raise ValidationError({"opens_at": ValidationError(message, code="after_ends")})
