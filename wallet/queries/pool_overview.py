"""One pool as a campaign: its supply by state, its claims over time and its expiries."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from wallet.assets.models import CashbackAsset, CreditPool
from wallet.queries import analytics
from wallet.queries.analytics import Period
from wallet.queries.supply import supply_by

CHARTED = timedelta(days=30)
NOTHING = (0, Decimal(0))


@dataclass(frozen=True)
class PoolSupply:
    """The (count, value) of a pool's credits in each state, in the pool's currency. `issued` is their sum."""

    scheduled: tuple[int, Decimal]
    available: tuple[int, Decimal]
    claimed: tuple[int, Decimal]
    expired: tuple[int, Decimal]
    deleted: tuple[int, Decimal]

    @property
    def issued(self) -> tuple[int, Decimal]:
        """Return the (count, value) of all credits that were ever in the pool."""
        states = (self.scheduled, self.available, self.claimed, self.expired, self.deleted)
        return sum(count for count, _ in states), sum((value for _, value in states), Decimal(0))


def pool_supply(pool: CreditPool) -> PoolSupply:
    """Return the supply of a pool, from the counters in one query."""
    states = supply_by(Q(pool=pool.pk), "currency").get((pool.currency,), {})
    return PoolSupply(*(states.get(name, NOTHING) for name in ("scheduled", "available", "claimed", "expired", "deleted")))


def charted_period(pool: CreditPool, now: datetime) -> Period:
    """Return the last 30 days of the pool until now, or until it closed."""
    until = min(now, pool.closes_at or now)
    return Period(until - CHARTED, until)


def claims_by_day(pool: CreditPool, now: datetime) -> list[tuple[datetime, int]]:
    """Return the number of claims on each day of the charted period, in one query over that period."""
    return analytics.claims_by_step(charted_period(pool, now), pool.pk)


def expiring_by_day(pool: CreditPool, days: int) -> list[dict[str, Any]]:
    """Return per day the `count` and `value` of claimable credits that expire within `days`."""
    return analytics.expiring_by_day(days, pool.pk)


def next_expiry(pool: CreditPool) -> datetime | None:
    """Return when the next claimable credit expires; None if none will."""
    ending = CashbackAsset.objects.claimable().filter(pool=pool.pk, expires_at__isnull=False)
    return ending.order_by("expires_at").values_list("expires_at", flat=True).first()
