"""What is on offer, as the pages show it: pools, and equal credits of a pool as one offer."""

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
POOLS_KNOWN = 100  # whose limits are looked up for one page; beyond them the claim itself says no
SOON = timedelta(days=2)
REMEMBERED = timedelta(days=7)  # how long a pool that closed is still shown as closed


@dataclass(frozen=True)
class Offer:
    """Equal credits of a pool: `left` of them can be claimed, `asset_id` is one of these."""

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
        """Tell whether it ends within two days."""
        return is_soon(self.expires_at)


def is_soon(end: datetime | None) -> bool:
    """Tell whether that instant is within two days from now."""
    return end is not None and end - timezone.now() <= SOON


def open_pools() -> PoolQuerySet:
    """Return the pools that take claims now."""
    return CreditPool.objects.filter(OPEN)


def with_facts(pools: PoolQuerySet) -> PoolQuerySet:
    """Annotate how many credits each has left (`available`) and the value of the next one (`next_value`)."""
    following = CashbackAsset.objects.claimable().filter(pool=OuterRef("pk")).soonest_expiry_first()
    return pools.with_supply().annotate(next_value=Subquery(following.values("total_value")[:1]))


def pools_on_offer() -> PoolQuerySet:
    """Return the open pools with their facts, what closes first foremost."""
    return with_facts(open_pools()).order_by(F("closes_at").asc(nulls_last=True), "name")


def pools_for(user: User) -> PoolQuerySet:
    """Return the pools that `user` may know of, with facts and `phase`: open ones, then those to come, then just closed."""
    shown = CreditPool.objects.filter(Q(closes_at=None) | Q(closes_at__gt=Now() - REMEMBERED), is_active=True)
    phase = Case(
        When(opens_at__gt=Now(), then=Value("2 coming")),
        When(closes_at__lte=Now(), then=Value("3 closed")),
        default=Value("1 open"),
        output_field=CharField(),
    )
    known = with_facts(shown).with_can_claim(CashbackAsset.objects.all(), user).annotate(phase=phase)
    return known.order_by("phase", F("can_claim").desc(), F("closes_at").asc(nulls_last=True), "name")


def build_offer(row: dict[str, Any], refused: Iterable[UUID] = ()) -> Offer:
    """Return a row of OfferRows as an offer; it cannot be claimed when its pool is one of `refused`."""
    name = row.pop("pool__name")
    return Offer(**row, pool_name=name, can_claim=row["pool_id"] not in refused)


def closed_to_user(pools: Iterable[CreditPool]) -> set[UUID]:
    """Return those of `pools_for` that would give the user no more."""
    return {pool.pk for pool in pools if not pool.can_claim}


def offers_like(asset_id: UUID, user: User) -> Offer | None:
    """Return what is left of the offer that the credit `asset_id` was of, or None."""
    asset = CashbackAsset.objects.filter(pk=asset_id, pool__isnull=False).first()
    if asset is None:
        return None
    facts = {name: getattr(asset, name) for name in ("pool_id", "title", "total_value", "currency", "expires_at")}
    ended = {"expires_at__isnull": True} if facts.pop("expires_at") is None else {"expires_at": asset.expires_at}
    alike = CashbackAsset.objects.claimable().filter(**facts, **ended)
    rows = OfferRows(alike, open_pools().filter(pk=facts["pool_id"]))[:1]
    return build_offer(rows[0], closed_to_user(pools_for(user).filter(pk=facts["pool_id"]))) if rows else None
