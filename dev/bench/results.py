"""Figures of a measurement: raw values of each round, and the ratio that the target is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from statistics import median
from typing import Literal

COLUMNS = ("bench", "what", "target", "reached", "measured", "yardstick", "unit", "verdict", "")


@dataclass(frozen=True)
class Figure:
    """A value measured beside its yardstick, round by round, in one run.

    `target` is the minimum of the ratio measured / yardstick for "more", its maximum for "less"; None without a target.
    `rounds` holds (measured, yardstick) in `unit`.
    """

    what: str
    target: float | None
    better: Literal["more", "less"]
    rounds: list[tuple[float, float]]
    unit: str
    note: str = ""

    @property
    def ratio(self) -> float:
        """The median of the ratios of the rounds, so that a slow round affects both sides."""
        return median(measured / yardstick if yardstick else inf for measured, yardstick in self.rounds)

    @property
    def measured(self) -> float:
        """The median of the measured values."""
        return median(measured for measured, _ in self.rounds)

    @property
    def yardstick(self) -> float:
        """The median of the yardstick."""
        return median(yardstick for _, yardstick in self.rounds)

    @property
    def reached(self) -> bool:
        """Whether the ratio reaches the target; true without a target."""
        if self.target is None:
            return True
        return self.ratio >= self.target if self.better == "more" else self.ratio <= self.target

    def cells(self, bench: str) -> Sequence[str]:
        """Return the figure as a row of a table, in the order of COLUMNS."""
        sign = "≥" if self.better == "more" else "≤"
        target = "" if self.target is None else f"{sign} {self.target:.2f}"
        verdict = "" if self.target is None else "reached" if self.reached else "MISSED"
        ratio = f"{self.ratio:.2f}" if isfinite(self.ratio) else ""
        figures = (target, ratio, format_figure(self.measured), format_figure(self.yardstick))
        return (bench, self.what, *figures, self.unit, verdict, self.note)


def format_figure(number: float) -> str:
    """Return a number with three significant digits, or all digits of its integer part."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
