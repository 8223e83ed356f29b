"""Pools and offers as the pages show them. An offer is a group of equal credits; a card is a pool, or an offer without one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, F, Q, Sum, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool, SupplyDelta
from wallet.assets.querysets import OPEN, SHOWN, AssetQuerySet, PoolQuerySet
from wallet.pages.offer_rows import Row, variants_of

POOLS_CHECKED = 100  # pools that are offered as a filter, and searched for those that cannot be claimed from now
POOLS_SHOWN = 6  # of the pools that cannot be claimed from now
VARIANTS_SHOWN = 4  # offers in a pool's card; the pool's page has them all
SOON = timedelta(days=2)
CLOSED_SHOWN_FOR = timedelta(days=7)  # how long a closed pool is still shown


@dataclass(frozen=True)
class Offer:
    """Equal credits: `left` is the number that can be claimed, `asset_id` one of them.

    `shown_as` is the credit under whose id the page shows the offer. `through_pool`: claim any credit of the pool instead of
    this one, for an offer that is the pool's only one.
    """

    asset_id: UUID | None
    title: str
    total_value: Decimal
    currency: str
    expires_at: datetime | None
    left: int
    pool: CreditPool | None
    shown_as: UUID | None
    through_pool: bool = False
    has_ended: bool = False
    is_withdrawn: bool = False

    @property
    def part_name(self) -> str:
        """Return the id of this part of a page (page_parts.ShownOffer)."""
        return f"{'pool' if self.through_pool else 'offer'}-{self.shown_as}"

    @property
    def time_zone(self) -> str:
        """Return the IANA zone in which its days end: the pool's, or UTC without a pool."""
        return self.pool.time_zone if self.pool else "UTC"

    @property
    def ends_soon(self) -> bool:
        """Return whether it expires within two days."""
        return is_soon(self.expires_at)

    @property
    def state(self) -> str:
        """Return why it cannot be claimed now (withdrawn, coming, closed, ended, gone, limit); empty when it can."""
        if self.is_withdrawn:
            return "withdrawn"
        phase = phase_of(self.pool) if self.pool else "1 open"
        if phase != "1 open":
            return "coming" if phase == "2 coming" else "closed"
        if not self.left:
            is_due = self.expires_at is not None and self.expires_at <= timezone.now()
            return "ended" if is_due or self.has_ended else "gone"
        return "limit" if self.pool and not getattr(self.pool, "can_claim", True) else ""


@dataclass(frozen=True)
class Card:
    """A pool with its first offers, or one offer without a pool."""

    pool: CreditPool | None
    offers: list[Offer]
    has_more: bool = field(default=False)

    @property
    def can_claim(self) -> bool:
        """Return whether any of its offers can be claimed."""
        return any(not offer.state for offer in self.offers)


def phase_of(pool: CreditPool) -> str:
    """Return the annotation `phase` of a pool from `shown_pools`."""
    return str(pool.phase)  # type: ignore[attr-defined]


def is_soon(end: datetime | None) -> bool:
    """Return whether that time is within two days from now."""
    return end is not None and end - timezone.now() <= SOON


def open_pools() -> PoolQuerySet:
    """Return the pools that are open for claims by users."""
    return CreditPool.objects.filter(OPEN, SHOWN)


def shown_pools() -> PoolQuerySet:
    """Return the pools that pages show, with their supply and their `phase`: open, upcoming or recently closed."""
    visible = CreditPool.objects.filter(SHOWN, Q(closes_at=None) | Q(closes_at__gt=Now() - CLOSED_SHOWN_FOR))
    phase = Case(
        When(opens_at__gt=Now(), then=Value("2 coming")),
        When(closes_at__lte=Now(), then=Value("3 closed")),
        default=Value("1 open"),
        output_field=CharField(),
    )
    return visible.with_supply().annotate(phase=phase)


def pools_for(user: User) -> PoolQuerySet:
    """Return the shown pools with `can_claim` for `user`, open ones first."""
    pools: Any = shown_pools().with_can_claim(CashbackAsset.objects.all(), user)
    found: PoolQuerySet = pools.order_by("phase", F("can_claim").desc(), F("closes_at").asc(nulls_last=True), "name")
    return found


def refused_pool_ids(pools: Iterable[CreditPool]) -> set[UUID]:
    """Return the ids of the pools, from `pools_for`, that the user cannot claim from."""
    return {pool.pk for pool in pools if not pool.can_claim}


def currencies_on_offer() -> list[str]:
    """Return the currencies of the credits on offer, from the supply counters."""
    counters = SupplyDelta.objects.filter(Q(pool=None) | Q(pool__in=open_pools()), status=AssetStatus.AVAILABLE)
    left = counters.order_by("currency").values("currency").annotate(n=Sum("count")).filter(n__gt=0)
    return list(left.values_list("currency", flat=True))


def build_offer(row: Row, pools: dict[UUID, CreditPool], *, through_pool: bool = False, shown_as: UUID | None = None) -> Offer:
    """Return a row of OfferRows as an Offer of one of `pools`."""
    facts = {name: value for name, value in row.items() if name != "pool_id"}
    pool = pools.get(row["pool_id"])
    return Offer(**facts, pool=pool, shown_as=shown_as or row["asset_id"], through_pool=through_pool and pool is not None)


def withdrawn_offer(shown_as: UUID) -> Offer:
    """Return an offer whose credit was deleted or whose pool is no longer shown."""
    return Offer(None, "", Decimal(0), "", None, 0, None, shown_as, is_withdrawn=True)


def pools_of(rows: Iterable[Row], pools: PoolQuerySet, known: Iterable[CreditPool] = ()) -> dict[UUID, CreditPool]:
    """Return by id the pools that rows of offers belong to: those of `known`, and the others by one query of `pools`."""
    by_id = {pool.pk: pool for pool in known}
    missing = {row["pool_id"] for row in rows if row["pool_id"]} - by_id.keys()
    return by_id | ({pool.pk: pool for pool in pools.filter(pk__in=missing)} if missing else {})


def build_cards(rows: list[Row], pools: dict[UUID, CreditPool], credits: AssetQuerySet, *, filtered: bool) -> list[Card]:
    """Return a card for each row: a pool with its first offers among `credits`, or the row's offer without a pool."""
    shown = {row["pool_id"] for row in rows if row["pool_id"]}
    variants = variants_of(credits, CreditPool.objects.filter(pk__in=shown), VARIANTS_SHOWN + 1) if shown else {}
    return [build_card(row, variants.get(row["pool_id"], [row]), pools, filtered=filtered) for row in rows]


def build_card(lead: Row, variants: list[Row], pools: dict[UUID, CreditPool], *, filtered: bool) -> Card:
    """Return the card of a pool's offers, of which `lead`, the first in the order of the list, is always one.

    Arguments:
        filtered: the pool may have other offers than `variants`.
    """
    shown = variants[:VARIANTS_SHOWN]
    if not any(is_same_offer(row, lead) for row in shown):
        shown = [lead, *shown[:-1]]
    is_only = len(variants) == 1 and not filtered
    offers = [build_offer(row, pools, through_pool=is_only) for row in shown]
    return Card(pools.get(lead["pool_id"]), offers, len(variants) > VARIANTS_SHOWN)


def is_same_offer(row: Row, other: Row) -> bool:
    """Return whether two rows are of the same offer; each names a random one of its credits."""
    return {**row, "asset_id": None, "left": None} == {**other, "asset_id": None, "left": None}
