"""Changes of one asset by an operator: update, extend, delete, expire. Each is recorded in the change history."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.constraint_words import violations_in_words
from kernel.readable_text import normal_text
from kernel.refusals import Conflict
from kernel.transactions import atomic_with_retry, violated_constraint
from kernel.versions import Precondition, accept_any
from wallet.actions.approvals import approvals_checked
from wallet.actions.issue_assets import check_not_archived, resolve_expiry, validate_asset
from wallet.assets.change_context import recording_change
from wallet.assets.constraint_words import WORDS
from wallet.assets.models import AssetNotFound, AssetStatus, CashbackAsset

EDITABLE_FIELDS = ("title", "total_value", "currency", "pool", "expires_at")


class AssetNotAvailable(Conflict):
    code = "asset_not_available"
    meaning = _("The credit has been claimed or has expired, so it can no longer be changed.")
    detail = _("Only an AVAILABLE credit can be changed. Issue or recreate another one instead.")


def lock_asset(asset_id: UUID) -> CashbackAsset:
    """Return the asset, locked, with its current status; raise AssetNotFound."""
    try:
        return CashbackAsset.objects.lock(asset_id)
    except CashbackAsset.DoesNotExist as error:
        raise AssetNotFound from error


def lock_available_asset(asset_id: UUID, precondition: Precondition) -> CashbackAsset:
    """Return the asset, locked, or raise AssetNotAvailable unless it can still be claimed, or as the precondition does."""
    asset = lock_asset(asset_id)
    check_available(asset)
    precondition(asset)
    return asset


# The checks of the actions. Interfaces also call them on rows read without a lock, to preview a refusal.


def check_available(asset: CashbackAsset) -> None:
    """Raise AssetNotAvailable unless the asset can still be claimed."""
    if asset.current_status != AssetStatus.AVAILABLE:
        raise AssetNotAvailable(f"This credit is {asset.current_status}. {AssetNotAvailable.detail}")


def check_expirable(asset: CashbackAsset) -> None:
    """Raise AssetNotAvailable unless the asset can still be claimed, now or later."""
    if asset.current_status != AssetStatus.SCHEDULED:
        check_available(asset)


def check_extendable(asset: CashbackAsset, until: datetime | date | None) -> None:
    """Raise AssetNotAvailable, or ValidationError unless `until` is in the future and later than the current expiry."""
    check_available(asset)
    new_expiry = resolve_expiry(until, asset.pool)
    if asset.expires_at is None or (new_expiry is not None and new_expiry <= asset.expires_at):
        raise ValidationError({"expires_at": "This never shortens an expiry. Choose a later date."}, code="not_later")


def check_deletable(asset: CashbackAsset) -> None:
    """Raise AssetNotAvailable when the asset is claimed or was recreated."""
    if asset.status == AssetStatus.CLAIMED:
        raise AssetNotAvailable("This credit has been claimed and can't be deleted.")
    if asset.children.exists():
        raise AssetNotAvailable("This credit was recreated and can't be deleted: its children refer to it.")


@atomic_with_retry(idempotent=False)
def extend_asset(
    asset_id: UUID, actor: User | None, until: datetime | date | None, precondition: Precondition = accept_any
) -> CashbackAsset:
    """Extend the expiry of an AVAILABLE asset, and return it; an expiry is never shortened.

    Arguments:
        until: a timestamp, a date (end of day in the pool's time zone), or None for no expiry.

    Raises AssetNotFound, AssetNotAvailable, ValidationError, and as `precondition` does on the locked asset.
    """
    asset = lock_available_asset(asset_id, precondition)
    check_extendable(asset, until)
    write_changes(asset, actor, expires_at=until)
    return asset


@atomic_with_retry(idempotent=False)
def update_asset(asset_id: UUID, actor: User | None, precondition: Precondition = accept_any, **changes: Any) -> CashbackAsset:
    """Change `title`, `total_value`, `currency`, `pool` or `expires_at` of an AVAILABLE asset, and return it.

    Raises AssetNotFound, AssetNotAvailable, ValidationError, ApprovalRequired for a value above the pool's approval threshold,
    and as `precondition` does on the locked asset.
    """
    asset = lock_available_asset(asset_id, precondition)
    write_changes(asset, actor, **changes)
    return asset


def write_changes(asset: CashbackAsset, actor: User | None, **changes: Any) -> None:
    """Write the changes to a locked, AVAILABLE asset."""
    if "title" in changes:
        changes["title"] = normal_text(changes["title"])
    for name in EDITABLE_FIELDS:
        setattr(asset, name, changes.get(name, getattr(asset, name)))
    if "pool" in changes:
        check_not_archived(asset.pool)
    if "expires_at" in changes:
        asset.expires_at = resolve_expiry(changes["expires_at"], asset.pool)
    validate_asset(asset)
    try:
        with approvals_checked(), violations_in_words(WORDS), recording_change(actor, "update"):
            asset.save(update_fields=EDITABLE_FIELDS)
    except IntegrityError as error:
        if violated_constraint(error) == "asset_not_due":
            raise AssetNotAvailable from error
        raise


@atomic_with_retry(idempotent=False)
def delete_asset(asset_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> None:
    """Delete an asset that was neither claimed nor recreated. Raises AssetNotFound, AssetNotAvailable."""
    asset = lock_asset(asset_id)
    check_deletable(asset)
    precondition(asset)
    with recording_change(actor, "delete"):
        CashbackAsset.objects.filter(pk=asset.pk)._raw_delete("default")


@atomic_with_retry(idempotent=False)
def expire_asset(asset_id: UUID, actor: User | None, precondition: Precondition = accept_any) -> CashbackAsset:
    """Expire an AVAILABLE or SCHEDULED asset now, and return it. Raises AssetNotFound, AssetNotAvailable."""
    asset = lock_asset(asset_id)
    check_expirable(asset)
    precondition(asset)
    mark_asset_expired(asset, actor)
    return asset


def mark_asset_expired(asset: CashbackAsset, actor: User | None) -> None:
    """Mark a locked, unclaimed asset as EXPIRED."""
    asset.status = asset.current_status = AssetStatus.EXPIRED
    with recording_change(actor, "expire"):
        asset.save(update_fields=["status"])
