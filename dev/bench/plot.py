"""Plots as SVG, for light and dark pages: a bar for each ratio with its target, or two bars to compare."""

from collections.abc import Sequence
from html import escape

from dev.bench.results import Figure, format_figure

WIDTH, LINE, LEFT, TOP = 760, 44, 20, 44
SCALE = 460  # pixels of the widest bar
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 } .small { font-size: 12px; fill: #52606d }
.ground { fill: #fff } .before { fill: #9aa5b1 }
.good { fill: #1f8a70 } .bad { fill: #c44536 } .target { stroke: #1f2933; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .small { fill: #9aa5b1 } .ground { fill: #14181d } .good { fill: #45b894 } .bad { fill: #e5796b }
  .target { stroke: #e4e7eb }
}"""


def render_bars(title: str, figures: Sequence[Figure]) -> str:
    """Return the figures as SVG: ratios for those with a target, or, without any target, each value beside its yardstick."""
    aimed = [figure for figure in figures if figure.target is not None]
    height = TOP + LINE * len(aimed or figures) + 10
    if aimed:
        scale = SCALE / max(max(figure.ratio, figure.target or 0) for figure in aimed)
        drawn = "\n".join(render_bar(figure, TOP + LINE * number, scale) for number, figure in enumerate(aimed))
    else:
        scale = SCALE / max(max(figure.measured, figure.yardstick) for figure in figures)
        drawn = "\n".join(render_pair(figure, TOP + LINE * number, scale) for number, figure in enumerate(figures))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
        f'<style>{STYLE}</style>\n<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>\n'
        f'<text x="{LEFT}" y="24" font-weight="600">{escape(title[:1].upper() + title[1:])}</text>\n{drawn}\n</svg>\n'
    )


def render_bar(figure: Figure, top: int, scale: float) -> str:
    """Return one bar with its title above and its figures on the right."""
    assert figure.target is not None
    length, target = max(1.0, figure.ratio * scale), LEFT + figure.target * scale
    sign = "≥" if figure.better == "more" else "≤"
    kind = "good" if figure.reached else "bad"
    both = f"{format_figure(figure.measured)} / {format_figure(figure.yardstick)} {figure.unit}"
    label = f"{figure.ratio:.2f} ({sign} {figure.target:g}): {both}"
    return (
        f'<text class="small" x="{LEFT}" y="{top + 12}">{escape(figure.what)}</text>\n'
        f'<rect class="{kind}" x="{LEFT}" y="{top + 18}" width="{length:.1f}" height="14" rx="3"/>\n'
        f'<line class="target" x1="{target:.1f}" x2="{target:.1f}" y1="{top + 15}" y2="{top + 35}"/>\n'
        f'<text x="{LEFT + max(length, target - LEFT) + 10:.1f}" y="{top + 30}">{escape(label)}</text>'
    )


def render_pair(figure: Figure, top: int, scale: float) -> str:
    """Return two bars, the yardstick above the measured value, with their title above and their figures on the right."""
    label = f"{format_figure(figure.measured)} / {format_figure(figure.yardstick)} {figure.unit}"
    longest = max(1.0, figure.measured * scale, figure.yardstick * scale)
    return (
        f'<text class="small" x="{LEFT}" y="{top + 12}">{escape(figure.what)}</text>\n'
        f'<rect class="before" x="{LEFT}" y="{top + 17}" width="{figure.yardstick * scale:.1f}" height="7" rx="2"/>\n'
        f'<rect class="good" x="{LEFT}" y="{top + 26}" width="{figure.measured * scale:.1f}" height="7" rx="2"/>\n'
        f'<text x="{LEFT + longest + 10:.1f}" y="{top + 30}">{escape(label)}</text>'
    )
