"""Charts as plain shapes: the numbers become percentages here, a template draws them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One bar: what it stands for, its number, and its place and size in hundredths of the chart."""

    label: str
    number: int
    note: str
    x: float
    width: float
    size: float

    @property
    def top(self) -> float:
        """Return where a standing bar begins, from above."""
        return 100 - self.size


@dataclass(frozen=True)
class Chart:
    """Bars on one scale from 0 to `most`."""

    bars: list[Bar]
    most: int
    total: int

    @property
    def ends(self) -> list[str]:
        """Return the labels below the chart: first, middle, last."""
        labels = [bar.label for bar in self.bars]
        return [labels[0], labels[len(labels) // 2], labels[-1]] if len(labels) > 2 else labels


def build_chart(points: Sequence[tuple[str, int, str]]) -> Chart:
    """Return the chart of (label, number, note) in the given order; a number above 0 is always seen."""
    most = max((number for _, number, _ in points), default=0)
    step = 100 / max(len(points), 1)
    bars = [
        Bar(label, number, note, round(place * step + step * 0.1, 3), round(step * 0.8, 3), bar_percent(number, most))
        for place, (label, number, note) in enumerate(points)
    ]
    return Chart(bars, most, sum(number for _, number, _ in points))


def bar_percent(number: int, most: int) -> float:
    """Return the length of a bar in hundredths."""
    return max(round(100 * number / most, 2), 1.5) if number else 0
