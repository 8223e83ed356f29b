"""What happened in a period, and what is coming: figures for whoever runs the supply, each from one grouped query."""

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

HOURLY = timedelta(days=7)  # up to here claims are told by the hour, beyond by the day
LONGEST = timedelta(days=366)
BUSIEST = 8


@dataclass(frozen=True)
class Period:
    """From an instant to before another, UTC."""

    since: datetime
    until: datetime

    @property
    def step(self) -> str:
        """Return "hour" for a short period, else "day"."""
        return "hour" if self.until - self.since <= HOURLY else "day"

    def steps(self) -> list[datetime]:
        """Return the beginning of each hour or day that the period touches."""
        width = timedelta(hours=1) if self.step == "hour" else timedelta(days=1)
        start = self.since.replace(minute=0, second=0, microsecond=0)
        start = start if self.step == "hour" else start.replace(hour=0)
        return [start + width * number for number in range(-((start - self.until) // width))]

    def of(self, field: str) -> Q:
        """Return the condition that the instant in `field` lies in the period."""
        return Q(**{f"{field}__gte": self.since, f"{field}__lt": self.until})


def in_pool(pool_id: UUID | None, field: str = "pool") -> Q:
    """Return the condition that `field` names the pool; none without a pool."""
    return Q(**{field: pool_id}) if pool_id else Q()


def flows_by_currency(period: Period, pool_id: UUID | None = None) -> dict[str, States]:
    """Return per currency the (count, value) that was `issued`, `claimed`, `expired` and `deleted` in the period.

    What is due counts as expired at its expiry, whether or not the sweep has been. A credit that was moved is counted as
    issued in the pool it was issued in.
    """
    events: Any = CashbackAsset.pgh_event_model.objects.filter(period.of("pgh_created_at"), in_pool(pool_id))  # type: ignore[attr-defined]
    due = CashbackAsset.objects.due().filter(period.of("expires_at"), in_pool(pool_id))
    issued = Issuance.objects.filter(period.of("issued_at"), in_pool(pool_id))
    claimed = Entry.objects.filter(period.of("claimed_at"), in_pool(pool_id, "asset__pool"))
    found: dict[str, dict[str, tuple[int, Any]]] = defaultdict(dict)
    for name, rows, count, value in (
        ("issued", issued, Sum("count"), Sum("value")),
        ("claimed", claimed, Count("pk"), Sum("amount")),
        ("expired", events.filter(pgh_label="update", status="EXPIRED"), Count("pk"), Sum("total_value")),
        ("expired", due, Count("pk"), Sum("total_value")),
        ("deleted", events.filter(pgh_label="delete"), Count("pk"), Sum("total_value")),
    ):
        for code, number, worth in (
            rows.order_by().values("currency").annotate(n=count, v=value).values_list("currency", "n", "v")
        ):
            before = found[code].get(name, (0, 0))
            found[code][name] = (before[0] + number, before[1] + worth)
    return dict(found)


def claims_by_step(period: Period, pool_id: UUID | None = None) -> list[tuple[datetime, int]]:
    """Return how many claims each hour or day of the period saw, zeros included."""
    claims = Entry.objects.filter(period.of("claimed_at"), in_pool(pool_id, "asset__pool")).order_by()
    at = Trunc("claimed_at", period.step, tzinfo=UTC)
    counted = dict(claims.annotate(at=at).values("at").annotate(n=Count("pk")).values_list("at", "n"))
    return [(step, counted.get(step, 0)) for step in period.steps()]


def expiring_by_day(days: int, pool_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return per day (UTC) and currency the `count` and `value` of what can be claimed and ends within `days` from now."""
    ending = CashbackAsset.objects.claimable().filter(in_pool(pool_id), expires_at__lt=Now() + timedelta(days=days))
    by_day: Any = ending.order_by().annotate(day=Trunc("expires_at", "day", tzinfo=UTC)).values("day", "currency")
    return list(by_day.annotate(count=Count("pk"), value=Sum("total_value")).order_by("day", "currency"))


def busiest_pools(period: Period, pool_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return the pools with the most claims in the period: `pool`, `name`, `currency`, `claims`, `value`."""
    claims = Entry.objects.filter(period.of("claimed_at"), in_pool(pool_id, "asset__pool")).order_by()
    by_pool: Any = claims.values("currency", pool=F("asset__pool"), name=F("asset__pool__name"))
    return list(by_pool.annotate(claims=Count("pk"), value=Sum("amount")).order_by("-claims", "name")[:BUSIEST])


def supply_states(pool_id: UUID | None = None) -> dict[tuple[Any, ...], States]:
    """Return by (currency, pool, generation) how many credits, of what value, are in which state now, deleted ones too."""
    return supply.supply_by(in_pool(pool_id), "currency", "pool", "generation")


def issued_by_log(pool_id: UUID | None = None) -> dict[tuple[str, UUID | None], int]:
    """Return by (currency, pool) how many credits PostgreSQL's own log says were ever issued there."""
    rows = Issuance.objects.filter(in_pool(pool_id)).order_by().values("currency", "pool").annotate(n=Sum("count"))
    return {(row["currency"], row["pool"]): row["n"] for row in rows}
