"""Pools and offers as the pages show them. An offer is a group of equal credits of a pool."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.querysets import OPEN, PoolQuerySet
from wallet.pages.offer_rows import OfferRows

POOLS_SHOWN = 6
POOLS_CHECKED = 100  # pools whose limits are looked up for one page; beyond that the claim itself is refused
SOON = timedelta(days=2)
CLOSED_SHOWN_FOR = timedelta(days=7)  # how long a closed pool is still shown


@dataclass(frozen=True)
class Offer:
    """Equal credits of a pool: `left` is the number that can be claimed, `asset_id` one of them."""

    asset_id: UUID
    title: str
    total_value: Decimal
    currency: str
    expires_at: datetime | None
    pool_id: UUID | None
    pool_name: str | None
    left: int
    can_claim: bool = True

    @property
    def ends_soon(self) -> bool:
        """Return whether it expires within two days."""
        return is_soon(self.expires_at)


def is_soon(end: datetime | None) -> bool:
    """Return whether that time is within two days from now."""
    return end is not None and end - timezone.now() <= SOON


def open_pools() -> PoolQuerySet:
    """Return the pools that are open for claims."""
    return CreditPool.objects.filter(OPEN)


def with_next_value(pools: PoolQuerySet) -> PoolQuerySet:
    """Annotate the number of claimable credits (`available`) and the value of the next one (`next_value`)."""
    following = CashbackAsset.objects.claimable().filter(pool=OuterRef("pk")).soonest_expiry_first()
    return pools.with_supply().annotate(next_value=Subquery(following.values("total_value")[:1]))


def pools_on_offer() -> PoolQuerySet:
    """Return the open pools with their supply and next value, soonest to close first."""
    return with_next_value(open_pools()).order_by(F("closes_at").asc(nulls_last=True), "name")


def pools_for(user: User) -> PoolQuerySet:
    """Return the pools that `user` may see, with their `phase`: open ones, then upcoming ones, then recently closed ones."""
    visible = CreditPool.objects.filter(Q(closes_at=None) | Q(closes_at__gt=Now() - CLOSED_SHOWN_FOR), is_active=True)
    phase = Case(
        When(opens_at__gt=Now(), then=Value("2 coming")),
        When(closes_at__lte=Now(), then=Value("3 closed")),
        default=Value("1 open"),
        output_field=CharField(),
    )
    pools = with_next_value(visible).with_can_claim(CashbackAsset.objects.all(), user).annotate(phase=phase)
    return pools.order_by("phase", F("can_claim").desc(), F("closes_at").asc(nulls_last=True), "name")


def build_offer(row: dict[str, Any], refused_pools: Iterable[UUID] = ()) -> Offer:
    """Return a row of OfferRows as an Offer, which cannot be claimed when its pool is one of `refused_pools`."""
    name = row.pop("pool__name")
    return Offer(**row, pool_name=name, can_claim=row["pool_id"] not in refused_pools)


def refused_pool_ids(pools: Iterable[CreditPool]) -> set[UUID]:
    """Return the ids of the pools, from `pools_for`, that the user cannot claim from."""
    return {pool.pk for pool in pools if not pool.can_claim}


def offers_like(asset_id: UUID, user: User) -> Offer | None:
    """Return the rest of the offer that the credit `asset_id` belongs to, or None when nothing is left."""
    asset = CashbackAsset.objects.filter(pk=asset_id, pool__isnull=False).first()
    if asset is None:
        return None
    facts = {name: getattr(asset, name) for name in ("pool_id", "title", "total_value", "currency", "expires_at")}
    same_expiry = {"expires_at__isnull": True} if facts.pop("expires_at") is None else {"expires_at": asset.expires_at}
    equal_credits = CashbackAsset.objects.claimable().filter(**facts, **same_expiry)
    rows = OfferRows(equal_credits, open_pools().filter(pk=facts["pool_id"]))[:1]
    return build_offer(rows[0], refused_pool_ids(pools_for(user).filter(pk=facts["pool_id"]))) if rows else None
