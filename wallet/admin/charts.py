"""Bar charts: numbers as percentages, which templates draw as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One bar: its label, number and note, and its position and size in percent of the chart."""

    label: str
    number: int
    note: str
    x: float
    width: float
    size: float

    @property
    def top(self) -> float:
        """Return the top of a vertical bar, in percent from above."""
        return 100 - self.size


@dataclass(frozen=True)
class Chart:
    """Bars on one scale from 0 to `peak`."""

    bars: list[Bar]
    peak: int
    total: int

    @property
    def axis_labels(self) -> list[str]:
        """Return the first, middle and last label for the axis."""
        labels = [bar.label for bar in self.bars]
        return [labels[0], labels[len(labels) // 2], labels[-1]] if len(labels) > 2 else labels


def build_chart(points: Sequence[tuple[str, int, str]]) -> Chart:
    """Return the chart of (label, number, note) in the given order. A number above 0 is always visible."""
    peak = max((number for _, number, _ in points), default=0)
    step = 100 / max(len(points), 1)
    bars = [
        Bar(label, number, note, round(position * step + step * 0.1, 3), round(step * 0.8, 3), bar_percent(number, peak))
        for position, (label, number, note) in enumerate(points)
    ]
    return Chart(bars, peak, sum(number for _, number, _ in points))


def bar_percent(number: int, peak: int) -> float:
    """Return the length of a bar in percent."""
    return max(round(100 * number / peak, 2), 1.5) if number else 0
