"""A user's balance per currency and its growth by days of the current time zone: figures and SVG paths of the chart."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from wallet.ledger.models import Entry

MAX_SPAN, MIN_SPAN = timedelta(days=90), timedelta(days=7)
WIDTH, HEIGHT, TOP_MARGIN = 600, 160, 12  # units of the viewBox
TABLE_DAYS = 14  # days in the table beside the chart; the history has every claim


@dataclass(frozen=True)
class Day:
    """A day (of the current time zone) on which the balance grew by `gained` to `balance`."""

    day: date
    gained: Decimal
    balance: Decimal


@dataclass(frozen=True)
class Balance:
    """A user's balance in one currency, and the days from `start` to `end` (inclusive) on which it grew."""

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
        return self.days[: -TABLE_DAYS - 1 : -1]

    @property
    def has_earlier_days(self) -> bool:
        """Return whether the chart shows more days than the table."""
        return len(self.days) > TABLE_DAYS

    @property
    def has_chart(self) -> bool:
        """Return whether the balance has changed within the chart: it has at least two different values there."""
        return len(self.days) + bool(self.opening) >= 2

    @property
    def line(self) -> str:
        """Return the balance over time as an SVG path with a step for each day."""
        steps = "".join(f"H{self.x(day.day):.1f}V{self.y(day.balance):.1f}" for day in self.days)
        return f"M0 {self.y(self.opening):.1f}{steps}H{WIDTH}"

    @property
    def area(self) -> str:
        """Return the path of the area under the line."""
        return f"{self.line}V{HEIGHT}H0Z"

    @property
    def tip(self) -> str:
        """Return the path of a point at the end of the line."""
        return f"M{WIDTH} {self.y(self.total):.1f}h0"

    def x(self, day: date) -> float:
        """Return the horizontal position at which a day begins."""
        return WIDTH * ((day - self.start) / (self.end - self.start + timedelta(days=1)))

    def y(self, amount: Decimal) -> float:
        """Return the vertical position of an amount: 0 at the bottom, the current balance below the top margin."""
        return HEIGHT - float(amount / self.total) * (HEIGHT - TOP_MARGIN)


def balance_charts(user: User) -> list[Balance]:
    """Return the user's balance in each currency they have claimed, in one query."""
    day = TruncDate("claimed_at", tzinfo=timezone.get_current_timezone())
    groups: Any = Entry.objects.filter(user=user).values("currency", day=day)
    rows = groups.annotate(gained=Sum("amount"), claims=Count("pk")).order_by("currency", "day")
    return [build_balance(currency, list(days)) for currency, days in groupby(rows, key=lambda row: str(row["currency"]))]


def build_balance(currency: str, rows: list[dict[str, Any]]) -> Balance:
    """Return the balance of one currency from its rows per day, oldest first."""
    days, total = [], Decimal(0)
    for row in rows:
        total += row["gained"]
        days.append(Day(row["day"], row["gained"], total))
    end = max(timezone.localdate(), days[-1].day)
    start = end - min(MAX_SPAN, max(MIN_SPAN, end - days[0].day + timedelta(days=1)))
    charted = [day for day in days if day.day >= start]
    opening = charted[0].balance - charted[0].gained if charted else total
    return Balance(currency, total, sum(row["claims"] for row in rows), start, end, opening, charted)
