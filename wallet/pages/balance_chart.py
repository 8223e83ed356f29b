"""A user's balance per currency and its course by days of the current time zone: figures and SVG paths of the chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import User
from wallet.queries.balance_changes import balance_changes, first_day_read
from wallet.queries.wallet_balances import wallet_balances

MAX_SPAN, MIN_SPAN = timedelta(days=90), timedelta(days=7)
WIDTH, HEIGHT, TOP_MARGIN = 600, 160, 12  # units of the viewBox
TABLE_DAYS = 14  # days in the table beside the chart; the history has every change


@dataclass(frozen=True)
class Day:
    """A day (of the current time zone) on which the balance changed by `change` to `balance`."""

    day: date
    change: Decimal
    balance: Decimal


@dataclass(frozen=True)
class Balance:
    """A user's balances in one currency, and the days from `start` to `end` (inclusive) on which their sum changed.

    `figures` is a line of wallet_balances.
    """

    figures: dict[str, Any]
    start: date
    end: date
    opening: Decimal
    days: list[Day]

    @property
    def currency(self) -> str:
        """The currency's code."""
        return str(self.figures["currency"])

    @property
    def total(self) -> Decimal:
        """All that the user has now: available, held and pending."""
        return Decimal(self.figures["balance"])

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

    @property
    def peak(self) -> Decimal:
        """The highest balance of the chart."""
        return max(self.total, self.opening, *(day.balance for day in self.days))

    def x(self, day: date) -> float:
        """Return the horizontal position at which a day begins."""
        return WIDTH * ((day - self.start) / (self.end - self.start + timedelta(days=1)))

    def y(self, amount: Decimal) -> float:
        """Return the vertical position of an amount: 0 at the bottom, the highest balance below the top margin."""
        return HEIGHT - float(amount / self.peak) * (HEIGHT - TOP_MARGIN)


def balance_charts(user: User) -> list[Balance]:
    """Return the user's balances in each currency in which something is left, with their course, in two queries."""
    balances = wallet_balances(user.pk)
    zone = timezone.get_current_timezone()
    since = datetime.combine(timezone.localdate() - MAX_SPAN, time.min, zone)
    rows = balance_changes(user.pk, since, timezone.get_current_timezone_name()) if balances else []
    reach = first_day_read(rows)
    return [build_balance(figures, [row for row in rows if row.currency == figures["currency"]], reach) for figures in balances]


def build_balance(figures: dict[str, Any], rows: Sequence[Any], reach: date | None = None) -> Balance:
    """Return the balance of one currency from its figures now and its changes per day, oldest first.

    What an ended credit still had may not be written down as lapsed yet: earlier balances are then too low by it, but never
    below zero.
    """
    days, balance = list[Day](), Decimal(figures["balance"])
    for row in reversed(rows):
        days.insert(0, Day(row.day, row.change, balance))
        balance = max(balance - row.change, Decimal(0))
    end = max([timezone.localdate(), *(day.day for day in days[-1:])])
    return Balance(figures, reach or first_charted_day(days, balance, end), end, balance, days)


def first_charted_day(days: Sequence[Day], opening: Decimal, end: date) -> date:
    """Return the first day of the chart: just before the first change, unless there was something before."""
    span = MAX_SPAN if opening or not days else end - days[0].day + timedelta(days=1)
    return end - min(MAX_SPAN, max(MIN_SPAN, span))
