"""Output of commands: tables and progress. Colours and bars are used on terminals only."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.core.management.base import OutputWrapper
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Advance = Callable[[int], None]
PROGRESS_SECONDS = 5.0  # between two progress lines without a terminal
FILE_WIDTH = 240


def count_noun(count: int, noun: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(cell: object) -> str:
    """Return a cell without control characters, so that a title cannot control the terminal."""
    text = "" if cell is None else str(cell)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def write_table(
    out: OutputWrapper, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", right: Iterable[str] = ()
) -> None:
    """Write a table; `right` lists the right-aligned columns."""
    is_terminal = out.isatty()
    console = Console(
        width=None if is_terminal else FILE_WIDTH, markup=False, highlight=False, emoji=False, force_terminal=is_terminal
    )
    table = Table(title=title or None, box=box.ROUNDED if is_terminal else None, title_justify="left", pad_edge=is_terminal)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    with console.capture() as capture:
        console.print(table)
    out.write("\n".join(line.rstrip() for line in capture.get().splitlines()))


@contextmanager
def progress_bar(err: OutputWrapper, label: str, total: int) -> Iterator[Advance]:
    """Show the progress of long work. The yielded function takes the number of units done since its last call."""
    if not err.isatty():
        yield plain_progress(err, label, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda step: bar.advance(task, step)


def plain_progress(err: OutputWrapper, label: str, total: int) -> Advance:
    """Return an advance function that writes a line every PROGRESS_SECONDS at most."""
    done, last = 0, time.monotonic()

    def advance(step: int) -> None:
        nonlocal done, last
        done += step
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            err.write(f"{label}: {done} of {total}")

    return advance
