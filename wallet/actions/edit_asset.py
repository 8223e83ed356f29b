"""What an operator does to one asset that exists: update, extend, delete, expire, recreate; each leaves its trace."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import Conflict
from kernel.transactions import atomic_with_retry, violated_constraint
from wallet.actions.issue_assets import build_asset, resolve_expiry, validate_asset
from wallet.assets.change_context import recording_change, tag_issuance
from wallet.assets.models import AssetNotFound, AssetStatus, CashbackAsset

UNCHANGED: Any = object()  # tells "leave it" from None, which says "never expires"
CHANGEABLE = ("title", "total_value", "currency", "pool", "expires_at")


class AssetNotAvailable(Conflict):
    code = "asset_not_available"
    meaning = _("The credit has been claimed or has expired, so it can no longer be changed.")
    detail = _("Only an AVAILABLE credit can be changed. Issue or recreate another one instead.")


class AssetNotExpired(Conflict):
    code = "asset_not_expired"
    meaning = _("The credit has not expired, so it cannot be recreated.")
    detail = _("Only an EXPIRED credit can be recreated. Expire it first, or issue a new one.")


class AlreadyRecreated(Conflict):
    code = "already_recreated"
    meaning = _("The credit has been recreated before. An expired credit can be recreated once.")
    detail = _("This credit was recreated before. Recreate its child once that has expired, or issue a new one.")


def lock_asset(asset_id: UUID) -> CashbackAsset:
    """Return the asset, locked, with its current status; raise AssetNotFound."""
    try:
        return CashbackAsset.objects.lock(asset_id)
    except CashbackAsset.DoesNotExist as error:
        raise AssetNotFound from error


def lock_available_asset(asset_id: UUID) -> CashbackAsset:
    """Return the asset, locked, or raise AssetNotAvailable unless it can still be claimed."""
    asset = lock_asset(asset_id)
    check_available(asset)
    return asset


# What an act would refuse, by the row as it was read: for whoever wants to know before. The acts ask again under the lock.


def check_available(asset: CashbackAsset) -> None:
    """Raise AssetNotAvailable unless the asset can still be claimed."""
    if asset.current_status != AssetStatus.AVAILABLE:
        raise AssetNotAvailable(f"This credit is {asset.current_status}. {AssetNotAvailable.detail}")


def check_extendable(asset: CashbackAsset, until: datetime | date | None) -> None:
    """Raise AssetNotAvailable, or ValidationError unless `until` is in the future and later than the present end."""
    check_available(asset)
    end = resolve_expiry(until, asset.pool)
    if asset.expires_at is None or (end is not None and end <= asset.expires_at):
        raise ValidationError({"expires_at": "This credit ends then or later already: it is not cut short."}, code="not_later")


def check_deletable(asset: CashbackAsset) -> None:
    """Raise AssetNotAvailable when somebody owns the asset or others descend from it."""
    if asset.status == AssetStatus.CLAIMED:
        raise AssetNotAvailable("This credit is CLAIMED: it belongs to its owner for ever and cannot be deleted.")
    if asset.children.exists():
        raise AssetNotAvailable("This credit was recreated: its children point to it, so it cannot be deleted.")


def check_recreatable(asset: CashbackAsset, again: bool = False) -> None:
    """Raise AssetNotExpired, or AlreadyRecreated unless a second child is allowed."""
    if asset.current_status != AssetStatus.EXPIRED:
        raise AssetNotExpired
    if not again and asset.children.exists():
        raise AlreadyRecreated


@atomic_with_retry(idempotent=False)
def extend_asset(asset_id: UUID, actor: User | None, until: datetime | date | None) -> CashbackAsset:
    """Let an AVAILABLE asset live longer, until an instant, the end of a day where its pool is, or for ever (None).

    Raises AssetNotFound, AssetNotAvailable, ValidationError; it never cuts a life short.
    """
    asset = lock_available_asset(asset_id)
    check_extendable(asset, until)
    write_changes(asset, actor, expires_at=until)
    return asset


@atomic_with_retry(idempotent=False)
def update_asset(asset_id: UUID, actor: User | None, **changes: Any) -> CashbackAsset:
    """Change `title`, `total_value`, `currency`, `pool` or `expires_at` of an AVAILABLE asset, and return it.

    Raises AssetNotFound, AssetNotAvailable, ValidationError.
    """
    asset = lock_available_asset(asset_id)
    write_changes(asset, actor, **changes)
    return asset


def write_changes(asset: CashbackAsset, actor: User | None, **changes: Any) -> None:
    """Write the changes to a locked, AVAILABLE asset."""
    for name in CHANGEABLE:
        setattr(asset, name, changes.get(name, getattr(asset, name)))
    if "expires_at" in changes:
        asset.expires_at = resolve_expiry(changes["expires_at"], asset.pool)
    validate_asset(asset)
    with recording_change(actor, "update"):
        try:
            asset.save(update_fields=CHANGEABLE)
        except IntegrityError as error:
            if violated_constraint(error) == "asset_not_due":
                raise AssetNotAvailable from error
            raise


@atomic_with_retry(idempotent=False)
def delete_asset(asset_id: UUID, actor: User | None) -> None:
    """Delete an asset that nobody claimed and that was not recreated. Raises AssetNotFound, AssetNotAvailable."""
    asset = lock_asset(asset_id)
    check_deletable(asset)
    with recording_change(actor, "delete"):
        CashbackAsset.objects.filter(pk=asset.pk)._raw_delete("default")


@atomic_with_retry(idempotent=False)
def expire_asset(asset_id: UUID, actor: User | None) -> CashbackAsset:
    """End an AVAILABLE asset's life now, and return it. Raises AssetNotFound, AssetNotAvailable."""
    asset = lock_available_asset(asset_id)
    mark_expired(asset, actor)
    return asset


def mark_expired(asset: CashbackAsset, actor: User | None) -> None:
    """Mark a locked, unclaimed asset EXPIRED."""
    asset.status = asset.current_status = AssetStatus.EXPIRED
    with recording_change(actor, "expire"):
        asset.save(update_fields=["status"])


@atomic_with_retry(idempotent=False)
def recreate_asset(
    asset_id: UUID,
    actor: User | None,
    *,
    title: str | None = None,
    total_value: Decimal | None = None,
    expires_at: datetime | date | None = UNCHANGED,
    again: bool = False,
) -> CashbackAsset:
    """Issue a new asset from an EXPIRED one and return it, with `recreated_from` and the next `generation`.

    Arguments:
        title, total_value: the parent's unless given.
        expires_at: an instant, a day that ends where the pool is, or None for never. Not given: the child lives as long
            as its parent was meant to.
        again: allow a second child of the same parent.

    Raises AssetNotFound, AssetNotExpired, AlreadyRecreated, ValidationError.
    """
    parent = lock_asset(asset_id)
    check_recreatable(parent, again)
    if parent.status != AssetStatus.EXPIRED:
        mark_expired(parent, actor)
    child = build_asset(
        actor,
        title=title or parent.title,
        total_value=parent.total_value if total_value is None else total_value,
        currency=parent.currency,
        pool=parent.pool,
        expires_at=same_lifetime(parent) if expires_at is UNCHANGED else expires_at,
        recreated_from=parent,
        generation=parent.generation + 1,
    )
    tag_issuance()
    child.save(force_insert=True)
    return CashbackAsset.objects.with_current_status().get(pk=child.pk)


def same_lifetime(parent: CashbackAsset) -> datetime | None:
    """Return when an asset made now ends, if it is to live as long as `parent` was meant to."""
    return parent.expires_at and timezone.now() + (parent.expires_at - parent.created_at)
