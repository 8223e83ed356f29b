"""Recreate an asset: issue a new one from an expired one."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.constraint_words import violations_in_words
from kernel.refusals import Conflict
from kernel.transactions import atomic_with_retry
from kernel.versions import Precondition, accept_any
from wallet.actions.edit_asset import lock_asset, mark_asset_expired
from wallet.actions.issue_assets import build_asset
from wallet.assets.change_context import tag_issuance
from wallet.assets.constraint_words import WORDS
from wallet.assets.models import AssetStatus, CashbackAsset

SAME_LIFETIME: Any = object()  # the default of `expires_at`, in which None means that the asset never expires


class AssetNotExpired(Conflict):
    code = "asset_not_expired"
    meaning = _("The credit has not expired, so it cannot be recreated.")
    detail = _("Only an EXPIRED credit can be recreated. Expire it first, or issue a new one.")


class AlreadyRecreated(Conflict):
    code = "already_recreated"
    meaning = _("The credit has been recreated before. An expired credit can be recreated once.")
    detail = _("Already recreated. Recreate the newer copy once it expires, or issue a new credit.")


def check_recreatable(asset: CashbackAsset, again: bool = False) -> None:
    """Raise AssetNotExpired, or AlreadyRecreated unless a second child is allowed."""
    if asset.current_status != AssetStatus.EXPIRED:
        raise AssetNotExpired
    if not again and asset.children.exists():
        raise AlreadyRecreated


@atomic_with_retry(idempotent=False)
def recreate_asset(
    asset_id: UUID,
    actor: User | None,
    precondition: Precondition = accept_any,
    *,
    title: str | None = None,
    total_value: Decimal | None = None,
    expires_at: datetime | date | None = SAME_LIFETIME,
    again: bool = False,
) -> CashbackAsset:
    """Issue a new asset from an EXPIRED one and return it, with `recreated_from` and the next `generation`.

    Arguments:
        title, total_value: default: those of the parent.
        expires_at: a timestamp, a date (end of day in the pool's time zone), or None for no expiry. By default the child keeps
            the lifetime of its parent.
        again: allow a second child of the same parent.

    Raises AssetNotFound, AssetNotExpired, AlreadyRecreated, ValidationError.
    """
    parent = lock_asset(asset_id)
    check_recreatable(parent, again)
    precondition(parent)
    if parent.status != AssetStatus.EXPIRED:
        mark_asset_expired(parent, actor)
    child = build_asset(
        actor,
        title=title or parent.title,
        total_value=parent.total_value if total_value is None else total_value,
        currency=parent.currency,
        pool=parent.pool,
        expires_at=expiry_after_same_lifetime(parent) if expires_at is SAME_LIFETIME else expires_at,
        recreated_from=parent,
        generation=parent.generation + 1,
    )
    tag_issuance()
    with violations_in_words(WORDS):
        child.save(force_insert=True)
    return CashbackAsset.objects.with_current_status().get(pk=child.pk)


def expiry_after_same_lifetime(parent: CashbackAsset) -> datetime | None:
    """Return the expiry of an asset issued now with the intended lifetime of `parent`; None for no expiry."""
    return parent.expires_at and timezone.now() + (parent.expires_at - parent.created_at)
