"""What commands show: tables, and the progress of long work. Colour and bars only on a terminal."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.core.management.base import OutputWrapper
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Advance = Callable[[int], None]
QUIET_SECONDS = 5.0  # between two lines where there is no terminal
WIDTH_OF_A_FILE = 240


def count_noun(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(cell: object) -> str:
    """Return a cell without control characters: a title must not move the reader's cursor."""
    text = "" if cell is None else str(cell)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def write_table(
    out: OutputWrapper, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", right: Iterable[str] = ()
) -> None:
    """Write a table; `right` names the columns whose cells end flush, as figures should."""
    fancy = out.isatty()
    console = Console(
        width=None if fancy else WIDTH_OF_A_FILE, markup=False, highlight=False, emoji=False, force_terminal=fancy
    )
    grid = Table(title=title or None, box=box.ROUNDED if fancy else None, title_justify="left", pad_edge=fancy)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(printable, row))
    with console.capture() as capture:
        console.print(grid)
    out.write("\n".join(line.rstrip() for line in capture.get().splitlines()))


@contextmanager
def progress_bar(err: OutputWrapper, what: str, total: int) -> Iterator[Advance]:
    """Show how far long work is; the function given is told how much was done since it was last called."""
    if not err.isatty():
        yield plain_progress(err, what, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda step: bar.advance(task, step)


def plain_progress(err: OutputWrapper, what: str, total: int) -> Advance:
    """Return an advance that writes a line now and then, so that a log is not flooded."""
    done, last = 0, time.monotonic()

    def advance(step: int) -> None:
        nonlocal done, last
        done += step
        if time.monotonic() - last >= QUIET_SECONDS:
            last = time.monotonic()
            err.write(f"{what}: {done} of {total}")

    return advance
