"""The results of measurements, as a page of the documentation with its plots."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from dev.bench.catalogue import BENCHES
from dev.bench.plot import render_bars
from dev.bench.results import COLUMNS, format_figure
from dev.bench.run import Result, parse_figure
from dev.services import postgres

PAGE = """# Benchmarks

Written by `make bench`, and by `manage.py bench NAME --write` for single measurements. Each measurement below states when and
where it was made.

Method: a measurement compares only what it measured itself, in one run on one machine. Each round measures the value and its
yardstick one after the other, in alternating order (A B, B A, …). The ratio is computed within the round; the tables show the
median of the rounds. A round that the machine disturbed is repeated, with a remark. PostgreSQL and Redis are temporary servers
whose commits reach the disk (fsync). Clients, web workers and PostgreSQL share the cores.

## Targets

{table}

{missed}

{plots}

## All rounds

{raw}
"""


def write_page(results: Sequence[Result], folder: Path, *, rounds: int, quick: bool) -> Path:
    """Replace these measurements on the page below `folder`, with plots and data, keep the others, and return its path."""
    pictures = folder / "benchmarks"
    pictures.mkdir(exist_ok=True)
    data = pictures / "results.json"
    made = describe_conditions(rounds=rounds, quick=quick)
    merged = {result.bench: result for result in [*read_results(data), *(replace(new, conditions=made) for new in results)]}
    shown = [merged[bench] for bench in BENCHES if bench in merged]
    for old in pictures.glob("*.svg"):
        old.unlink()
    for result in shown:
        if result.figures:
            (pictures / f"{result.bench}.svg").write_text(render_bars(BENCHES[result.bench].what, result.figures))
    data.write_text(json.dumps([asdict(result) for result in shown], indent=1) + "\n")
    page = folder / "benchmarks.md"
    page.write_text(benchmarks_page(shown))
    return page


def read_results(data: Path) -> list[Result]:
    """Return the measurements of earlier runs; none if there were none."""
    if not data.exists():
        return []
    earlier = json.loads(data.read_text())
    return [Result(**found | {"figures": [parse_figure(figure) for figure in found["figures"]]}) for found in earlier]


def describe_conditions(*, rounds: int, quick: bool) -> str:
    """Return when and where a measurement was made."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    machine = (
        f"{os.cpu_count()} cores, {memory:.0f} GB, PostgreSQL {postgres.postgres_version()}, Python {platform.python_version()}"
    )
    check = "; small tables and short loads, which are only a quick check" if quick else ""
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {rounds} rounds{check}"


def benchmarks_page(results: Sequence[Result]) -> str:
    """Return the page, in Markdown."""
    figures = [figure for result in results for figure in result.figures if figure.target is not None]
    missed = sum(not figure.reached for figure in figures)
    failed = sum(bool(result.error) for result in results)
    return PAGE.format(
        table=markdown_table(COLUMNS, figure_rows(results)),
        missed=f"{len(figures) - missed} of {len(figures)} reached, {missed} missed, {failed} measurements failed.",
        plots="\n".join(f"![{result.bench}](benchmarks/{result.bench}.svg)" for result in results if result.figures),
        raw="\n\n".join(map(raw_figures, results)),
    )


def figure_rows(results: Sequence[Result]) -> list[Sequence[str]]:
    """Return a line for each figure, and one for each failed measurement."""
    lines: list[Sequence[str]] = []
    for result in results:
        lines += [figure.cells(result.bench) for figure in result.figures]
        if result.error:
            lines.append((result.bench, BENCHES[result.bench].what, *("",) * 5, "FAILED", result.error))
    return lines


def raw_figures(result: Result) -> str:
    """Return the description of one measurement, with the values of all rounds."""
    lines = [
        (
            figure.what,
            figure.unit,
            *(f"{format_figure(measured)} / {format_figure(yardstick)}" for measured, yardstick in figure.rounds),
        )
        for figure in result.figures
    ]
    count = max((len(figure.rounds) for figure in result.figures), default=0)
    head = ("measured / yardstick", "unit", *(f"round {number + 1}" for number in range(count)))
    title = f"**{result.bench}**: {BENCHES[result.bench].what} ({result.conditions})."
    return f"{title}\n\n{markdown_table(head, lines) if lines else result.error}"


def markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    cells = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
