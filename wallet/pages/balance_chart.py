"""A user's balance per currency, and how it grew: the figures of the chart and the chart's lines."""

from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from wallet.ledger.models import Entry

LONGEST, SHORTEST = timedelta(days=90), timedelta(days=7)
WIDTH, HEIGHT, ROOM = 600, 160, 12  # the drawing's units; ROOM stays free above the line
LISTED = 14  # days in the table beside the chart; the history has every claim


@dataclass(frozen=True)
class Day:
    """A day on which the balance grew by `gained` to `balance`."""

    day: date
    gained: Decimal
    balance: Decimal


@dataclass(frozen=True)
class Balance:
    """What a user holds in one currency, and the days between `start` and `end` (both included) that it grew on."""

    currency: str
    total: Decimal
    claims: int
    start: date
    end: date
    opening: Decimal
    days: list[Day]

    @property
    def latest(self) -> list[Day]:
        """Return the days of the table, newest first."""
        return self.days[: -LISTED - 1 : -1]

    @property
    def earlier(self) -> bool:
        """Tell whether the chart shows days that the table has no room for."""
        return len(self.days) > LISTED

    @property
    def line(self) -> str:
        """Return the balance over time as an SVG path, a step for each day it grew on."""
        steps = "".join(f"H{self.x(day.day):.1f}V{self.y(day.balance):.1f}" for day in self.days)
        return f"M0 {self.y(self.opening):.1f}{steps}H{WIDTH}"

    @property
    def area(self) -> str:
        """Return the path of what lies under the line."""
        return f"{self.line}V{HEIGHT}H0Z"

    @property
    def tip(self) -> str:
        """Return the path of a point at the line's end."""
        return f"M{WIDTH} {self.y(self.total):.1f}h0"

    def x(self, day: date) -> float:
        """Return where a day begins."""
        return WIDTH * ((day - self.start) / (self.end - self.start + timedelta(days=1)))

    def y(self, amount: Decimal) -> float:
        """Return how far down an amount is drawn: nothing at the bottom, the present balance near the top."""
        return HEIGHT - float(amount / self.total) * (HEIGHT - ROOM)


def balance_charts(user: User) -> list[Balance]:
    """Return what `user` holds, by one query; a currency never claimed is not there."""
    groups: Any = Entry.objects.filter(user=user).values("currency", day=TruncDate("claimed_at", tzinfo=UTC))
    rows = groups.annotate(gained=Sum("amount"), claims=Count("pk")).order_by("currency", "day")
    return [build_balance(currency, list(days)) for currency, days in groupby(rows, key=lambda row: str(row["currency"]))]


def build_balance(currency: str, rows: list[dict[str, Any]]) -> Balance:
    """Return one currency's balance from its days in their order."""
    days, total = [], Decimal(0)
    for row in rows:
        total += row["gained"]
        days.append(Day(row["day"], row["gained"], total))
    end = max(timezone.now().astimezone(UTC).date(), days[-1].day)
    start = end - min(LONGEST, max(SHORTEST, end - days[0].day + timedelta(days=1)))
    shown = [day for day in days if day.day >= start]
    opening = shown[0].balance - shown[0].gained if shown else total
    return Balance(currency, total, sum(row["claims"] for row in rows), start, end, opening, shown)
