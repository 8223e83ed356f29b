"""A CSV file as numbered rows of text, and what the cells of a credit say."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError

from wallet.assets.models import CashbackAsset

LONGEST_LINE = 64 * 1024  # bytes: a file that is not a table must not fill the memory
TOLD_EVERY = 64 * 1024  # bytes: progress is for people
TITLE = CashbackAsset._meta.get_field("title")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and where: the line (from 1), and the column unless the whole line is meant."""

    line: int
    column: str | None
    what: str

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.column}' if self.column else ''}: {self.what}"


class WrongRow(Exception):  # noqa: N818  (never leaves the import)
    """One line with its mistakes."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes


def numbered_rows(file: BinaryIO, progress: Callable[[int], None], digest: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the file's rows with the number of the line each begins on; blank lines are passed over.

    Raises WrongRow where the file stops being a table in UTF-8.
    """
    rows = csv.reader(text_lines(file, progress, digest), strict=True)
    while True:
        begins = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise WrongRow(Mistake(begins, None, f"this is not CSV ({error}).")) from None
        if cells is None:
            return
        if cells:
            yield begins, cells


def text_lines(file: BinaryIO, progress: Callable[[int], None], digest: Any) -> Iterator[str]:
    """Yield the file's lines as text, without the byte order mark that some programs put first."""
    number = untold = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        untold += len(raw)
        digest.update(raw)
        if untold >= TOLD_EVERY:
            progress(untold)
            untold = 0
        if len(raw) == LONGEST_LINE:
            raise WrongRow(Mistake(number, None, f"this line has more than {LONGEST_LINE} bytes."))
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise WrongRow(Mistake(number, None, "this is not UTF-8. Save the file as CSV UTF-8.")) from None
    progress(untold)


def parse_title(cell: str) -> str:
    """Return a title; raise ValueError when it holds characters that nobody can see."""
    if CONTROL.search(cell):
        raise ValueError("there is a control character or a line break in it.")
    return cell


def title_or_empty(cell: str) -> str:
    """Return a title with nothing wrong, or an empty string."""
    try:
        return str(TITLE.clean(parse_title(cell.strip()), None))
    except (ValueError, ValidationError):
        return ""


def parse_cell_amount(cell: str) -> Decimal:
    """Return an exact amount; raise ValueError unless it is written with digits 0-9 and at most one point."""
    if not NUMBER.fullmatch(cell):
        raise ValueError(f'"{cell[:40]}" is not a plain number. Write it like 1250.50, without sign, separators or exponent.')
    return Decimal(cell)


def parse_cell_expiry(cell: str) -> datetime | date | None:
    """Return when a credit ends: an instant, a day, or None for never; raise ValueError when it is neither."""
    if not cell:
        return None
    try:
        if DAY.fullmatch(cell):
            return date.fromisoformat(cell)
        if INSTANT.fullmatch(cell):
            return datetime.fromisoformat(cell.upper())
    except ValueError:
        pass  # shaped like one, but there is no such day or hour
    raise ValueError(f'"{cell[:40]}" is neither a day (2030-03-31) nor an instant (2030-03-31T18:30:00Z).')
