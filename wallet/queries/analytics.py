"""Figures for operators: flows and claims in a period, upcoming expiries, busiest pools; one grouped query each."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Now, Trunc

from wallet.assets.models import CashbackAsset, Issuance
from wallet.ledger.models import Entry
from wallet.queries import supply
from wallet.queries.supply import States

MAX_HOURLY_PERIOD = timedelta(days=7)  # longer periods are shown by day
MAX_PERIOD = timedelta(days=366)
MAX_POOLS = 8


@dataclass(frozen=True)
class Period:
    """A period in UTC, from `since` (inclusive) to `until` (exclusive)."""

    since: datetime
    until: datetime

    @property
    def step(self) -> str:
        """Return "hour" for a period up to MAX_HOURLY_PERIOD, else "day"."""
        return "hour" if self.until - self.since <= MAX_HOURLY_PERIOD else "day"

    def steps(self) -> list[datetime]:
        """Return the start of each hour or day that overlaps the period."""
        width = timedelta(hours=1) if self.step == "hour" else timedelta(days=1)
        start = self.since.replace(minute=0, second=0, microsecond=0)
        start = start if self.step == "hour" else start.replace(hour=0)
        return [start + width * number for number in range(-((start - self.until) // width))]

    def contains(self, field: str) -> Q:
        """Return the condition that the timestamp `field` is in the period."""
        return Q(**{f"{field}__gte": self.since, f"{field}__lt": self.until})


def in_pool(pool_id: UUID | None, field: str = "pool") -> Q:
    """Return the condition that `field` is the pool; no condition without a pool."""
    return Q(**{field: pool_id}) if pool_id else Q()


def flows_by_currency(period: Period, pool_id: UUID | None = None) -> dict[str, States]:
    """Return per currency the (count, value) of credits `issued`, `claimed`, `expired` and `deleted` in the period.

    A due credit counts as expired at its expiry, even before the sweep marks it. A credit that was moved to another pool
    counts as issued in its original pool.
    """
    events: Any = CashbackAsset.pgh_event_model.objects.filter(period.contains("pgh_created_at"), in_pool(pool_id))  # type: ignore[attr-defined]
    due = CashbackAsset.objects.due().filter(period.contains("expires_at"), in_pool(pool_id))
    issued = Issuance.objects.filter(period.contains("issued_at"), in_pool(pool_id))
    claimed = Entry.objects.filter(period.contains("claimed_at"), in_pool(pool_id, "asset__pool"))
    flows: dict[str, dict[str, tuple[int, Any]]] = defaultdict(dict)
    for state, rows, count, value in (
        ("issued", issued, Sum("count"), Sum("value")),
        ("claimed", claimed, Count("pk"), Sum("amount")),
        ("expired", events.filter(pgh_label="update", status="EXPIRED"), Count("pk"), Sum("total_value")),
        ("expired", due, Count("pk"), Sum("total_value")),
        ("deleted", events.filter(pgh_label="delete"), Count("pk"), Sum("total_value")),
    ):
        for currency, count_in_period, value_in_period in (
            rows.order_by().values("currency").annotate(n=count, v=value).values_list("currency", "n", "v")
        ):
            previous = flows[currency].get(state, (0, 0))
            flows[currency][state] = (previous[0] + count_in_period, previous[1] + value_in_period)
    return dict(flows)


def claims_by_step(period: Period, pool_id: UUID | None = None) -> list[tuple[datetime, int]]:
    """Return the number of claims in each hour or day of the period, including zeros."""
    claims = Entry.objects.filter(period.contains("claimed_at"), in_pool(pool_id, "asset__pool")).order_by()
    at = Trunc("claimed_at", period.step, tzinfo=UTC)
    counted = dict(claims.annotate(at=at).values("at").annotate(n=Count("pk")).values_list("at", "n"))
    return [(step, counted.get(step, 0)) for step in period.steps()]


def expiring_by_day(days: int, pool_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return per day (UTC) and currency the `count` and `value` of claimable credits that expire within `days`."""
    expiring = CashbackAsset.objects.claimable().filter(in_pool(pool_id), expires_at__lt=Now() + timedelta(days=days))
    by_day: Any = expiring.order_by().annotate(day=Trunc("expires_at", "day", tzinfo=UTC)).values("day", "currency")
    return list(by_day.annotate(count=Count("pk"), value=Sum("total_value")).order_by("day", "currency"))


def busiest_pools(period: Period, pool_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return the pools with the most claims in the period: `pool`, `name`, `currency`, `claims`, `value`."""
    claims = Entry.objects.filter(period.contains("claimed_at"), in_pool(pool_id, "asset__pool")).order_by()
    by_pool: Any = claims.values("currency", pool=F("asset__pool"), name=F("asset__pool__name"))
    return list(by_pool.annotate(claims=Count("pk"), value=Sum("amount")).order_by("-claims", "name")[:MAX_POOLS])


def supply_states(pool_id: UUID | None = None) -> dict[tuple[Any, ...], States]:
    """Return the (count, value) of each current state, deleted included, by (currency, pool, generation)."""
    return supply.supply_by(in_pool(pool_id), "currency", "pool", "generation")


def issued_by_log(pool_id: UUID | None = None) -> dict[tuple[str, UUID | None], int]:
    """Return the number of credits ever issued, by (currency, pool), from the log that a trigger writes."""
    rows = Issuance.objects.filter(in_pool(pool_id)).order_by().values("currency", "pool").annotate(n=Sum("count"))
    return {(row["currency"], row["pool"]): row["n"] for row in rows}
