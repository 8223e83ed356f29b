"""Recreate an asset: issue a new one from an expired one."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import Conflict
from kernel.timestamps import format_timestamp
from kernel.transactions import atomic_with_retry
from kernel.versions import Precondition, accept_any
from wallet.actions.approvals import ApprovalRequired, Draft, awaiting_approval
from wallet.actions.edit_asset import lock_asset, mark_asset_expired
from wallet.actions.issue_assets import MAX_EXPIRY, build_asset, insert_asset
from wallet.actions.proposal_parameters import RecreateParameters, totals_of
from wallet.assets.batches import BatchHeader
from wallet.assets.models import AssetStatus, CashbackAsset, end_of
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.models import ProposalKind
from wallet.money import format_amount

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


def recreate_asset(
    asset_id: UUID,
    actor: User | None,
    precondition: Precondition = accept_any,
    *,
    title: str | None = None,
    total_value: Decimal | None = None,
    expires_at: datetime | date | None = SAME_LIFETIME,
    again: bool = False,
    batch: BatchHeader | None = None,
) -> CashbackAsset:
    """Issue a new asset from an EXPIRED one and return it, with `recreated_from` and the next `generation`.

    Arguments:
        title, total_value: default: those of the parent.
        expires_at: a timestamp, a date (end of day in the pool's time zone), or None for no expiry. By default the child keeps
            the lifetime of its parent, in days if that ended with a day.
        again: allow a second child of the same parent.
        batch: the batch of the new asset, which those recreated together share; by default a batch of its own.

    Raises AwaitsApproval above the pool's approval threshold, AssetNotFound, AssetNotExpired, AlreadyRecreated,
    ValidationError.
    """
    fields: dict[str, Any] = {"title": title, "total_value": total_value, "expires_at": expires_at, "again": again}
    try:
        return recreate_at_once(asset_id, actor, precondition, batch=batch, **fields)
    except ApprovalRequired:
        draft = draft_recreation(asset_id, actor, **fields)
    raise awaiting_approval(draft)


def draft_recreation(
    asset_id: UUID, actor: User | None, *, title: Any, total_value: Any, expires_at: Any, again: bool
) -> Draft:
    """Return the proposal to recreate an asset. The end of the new one is resolved now. Raises ValidationError."""
    parent = CashbackAsset.objects.select_related("pool").get(pk=asset_id)
    if parent.pool is None:
        raise ApprovalRequired
    asked_end = "the same lifetime" if expires_at is SAME_LIFETIME else expires_at  # what it comes to differs each time
    if expires_at is SAME_LIFETIME:
        expires_at = end_after_same_lifetime(parent, timezone.now())
    child = build_child(parent, actor, title, total_value, expires_at)
    shown = {
        "credit": child.title,
        "amount": format_amount(child.total_value, child.currency),
        "expires_at": format_timestamp(child.expires_at),
        "generation": child.generation,
    }
    totals = totals_of({parent.pool.pk: child.total_value})
    parameters = RecreateParameters(asset_id, child.title, child.total_value, child.expires_at, again, totals)
    digest = fingerprint("recreate", asset_id, child.title, child.total_value, asked_end, again)
    return Draft(ProposalKind.RECREATE, parent.pool, child.total_value, parameters, shown, digest, actor)


def make_child(
    asset_id: UUID,
    actor: User | None,
    precondition: Precondition = accept_any,
    *,
    title: str | None,
    total_value: Decimal | None,
    expires_at: datetime | date | None,
    again: bool,
    batch: BatchHeader | None,
) -> CashbackAsset:
    """Recreate within the caller's transaction; see recreate_asset. Raises ApprovalRequired."""
    parent = lock_asset(asset_id)
    check_recreatable(parent, again)
    precondition(parent)
    if parent.status != AssetStatus.EXPIRED:
        mark_asset_expired(parent, actor)
    if expires_at is SAME_LIFETIME:
        expires_at = end_after_same_lifetime(parent, timezone.now())
    child = build_child(parent, actor, title, total_value, expires_at)
    insert_asset(child, batch or BatchHeader(child.title))
    return CashbackAsset.objects.with_current_status().get(pk=child.pk)


recreate_at_once = atomic_with_retry(idempotent=False)(make_child)


def build_child(
    parent: CashbackAsset,
    actor: User | None,
    title: str | None,
    total_value: Decimal | None,
    expires_at: datetime | date | None,
) -> CashbackAsset:
    """Return the unsaved child of an asset. Raises ValidationError."""
    return build_asset(
        actor,
        title=title or parent.title,
        total_value=parent.total_value if total_value is None else total_value,
        currency=parent.currency,
        pool=parent.pool,
        expires_at=expires_at,
        recreated_from=parent,
        generation=parent.generation + 1,
    )


def check_recreation(parent: CashbackAsset, expires_at: datetime | date | None) -> None:
    """Raise what recreating the asset with this expiry would raise; a check as in edit_asset."""
    check_recreatable(parent)
    build_child(parent, None, None, None, expires_at)


def end_after_same_lifetime(parent: CashbackAsset, now: datetime) -> datetime | None:
    """Return the expiry of an asset issued `now` with the intended lifetime of `parent`; None for no expiry.

    The lifetime of an asset that ended with a day of its pool's time zone is counted in days, so that its child does, too.
    """
    if parent.expires_at is None:
        return None
    try:
        last_day = last_day_of(parent)
        if end_of(last_day, time_zone_of(parent)) != parent.expires_at:
            return now + (parent.expires_at - parent.created_at)
        zone = ZoneInfo(time_zone_of(parent))
        days = last_day - parent.created_at.astimezone(zone).date()
        return end_of(now.astimezone(zone).date() + days, zone.key)
    except OverflowError:
        return MAX_EXPIRY  # which is refused as too late


def common_ends(parents: Iterable[CashbackAsset], now: datetime) -> dict[UUID, datetime | None]:
    """Return the expiry of each asset's child when they are recreated together, by the asset's id.

    Assets of one pool that ended on one day get one end, the latest of theirs: an offer stays one offer, although its assets
    were issued, or expired, seconds apart.
    """
    ends: dict[UUID, datetime | None] = {}
    for parent, others in grouped_by_last_day(parents):
        known = [end for end in (end_after_same_lifetime(each, now) for each in others) if end]
        ends |= dict.fromkeys((each.pk for each in others), max(known) if parent.expires_at else None)
    return ends


def grouped_by_last_day(assets: Iterable[CashbackAsset]) -> Iterator[tuple[CashbackAsset, list[CashbackAsset]]]:
    """Yield the groups of assets of one pool that end on one day, each with its first asset."""
    groups: dict[Any, list[CashbackAsset]] = {}
    for asset in assets:
        groups.setdefault((asset.pool_id, asset.expires_at and last_day_of(asset)), []).append(asset)
    yield from ((group[0], group) for group in groups.values())


def last_day_of(asset: CashbackAsset) -> date:
    """Return the last day, in its pool's time zone, on which an asset with an expiry can be claimed."""
    assert asset.expires_at is not None
    return (asset.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(time_zone_of(asset))).date()


def time_zone_of(asset: CashbackAsset) -> str:
    """Return the time zone of the asset's pool; UTC without a pool."""
    return asset.pool.time_zone if asset.pool else "UTC"
