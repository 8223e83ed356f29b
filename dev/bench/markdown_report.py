"""The results of a run, as a page of the documentation with its plots."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dev.bench.catalogue import BENCHES
from dev.bench.plot import render_bars
from dev.bench.results import COLUMNS, format_figure
from dev.bench.run import Result
from dev.services import postgres

PAGE = """# Benchmarks

The last run of `make bench`, written by the run itself: {when}, {cores} cores, {memory:.0f} GB, PostgreSQL {postgres}, Python
{python}, {rounds} rounds{quick}. `manage.py bench NAME` runs one measurement.

Method: all measurements are made in one run on one machine. Each round measures the value and its yardstick one after the
other, in alternating order (A B, B A, …). The ratio is computed within the round; the tables show the median of the rounds. A
round that the machine disturbed is repeated, with a remark. PostgreSQL and Redis are temporary servers whose commits reach the
disk (fsync). Clients, web workers and PostgreSQL share the cores.

## Targets

{table}

{missed}

{plots}

## All rounds

{raw}
"""


def write_page(results: Sequence[Result], folder: Path, *, rounds: int, quick: bool) -> Path:
    """Write the page and its plots below `folder` and return the page's path."""
    pictures = folder / "benchmarks"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for result in results:
        if result.figures:
            (pictures / f"{result.bench}.svg").write_text(render_bars(BENCHES[result.bench].what, result.figures))
    page = folder / "benchmarks.md"
    page.write_text(benchmarks_page(results, rounds=rounds, quick=quick))
    return page


def benchmarks_page(results: Sequence[Result], *, rounds: int, quick: bool) -> str:
    """Return the page, in Markdown."""
    figures = [figure for result in results for figure in result.figures if figure.target is not None]
    missed = sum(not figure.reached for figure in figures)
    failed = sum(bool(result.error) for result in results)
    return PAGE.format(
        when=f"{datetime.now(UTC):%Y-%m-%d}",
        cores=os.cpu_count(),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30,
        postgres=postgres.postgres_version(),
        python=platform.python_version(),
        rounds=rounds,
        quick=", quick: small tables and short loads, which are only a quick check" if quick else "",
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
    return f"**{result.bench}**: {BENCHES[result.bench].what}.\n\n{markdown_table(head, lines) if lines else result.error}"


def markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    cells = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
