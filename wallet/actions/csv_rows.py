"""Parsing of separated text files of credits: numbered rows of text, and the values of cells."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError

from kernel.readable_text import normal_text, unreadable_character
from wallet.assets.models import CashbackAsset

SEPARATORS = (",", ";", "\t")
SEPARATOR_LINE = re.compile(r"sep=([,;\t])\s*")  # the first line of some spreadsheets' files
MAX_LINE_BYTES = 64 * 1024  # so that a file without line breaks does not fill the memory
PROGRESS_BYTES = 64 * 1024  # between two calls of `progress`
TITLE = CashbackAsset._meta.get_field("title")
NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True)
class Mistake:
    """A mistake in a file: its line (from 1), its column (None for the whole line), and a sentence.

    For a pool that does not exist also its name and the currency of the line.
    """

    line: int
    column: str | None
    message: str
    missing_pool: str = ""
    currency: str = ""

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.column}' if self.column else ''}: {self.message}"


class InvalidRow(Exception):  # noqa: N818  (never leaves the import)
    """A line with mistakes."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes


def numbered_rows(file: BinaryIO, progress: Callable[[int], None], digest: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the file's rows with the number of their first line; skip blank lines. The separator is that of the first line.

    Raises InvalidRow where the file is no longer CSV in UTF-8.
    """
    lines = text_lines(file, progress, digest)
    first = next(lines, "")
    skipped = 1 if (named := SEPARATOR_LINE.fullmatch(first)) else 0
    separator = named[1] if named else most_frequent_separator(first)
    rows = csv.reader(lines if skipped else chain([first], lines), strict=True, delimiter=separator)
    while True:
        first_line = rows.line_num + 1 + skipped
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise InvalidRow(Mistake(first_line, None, f"this is not CSV ({error}).")) from None
        if cells is None:
            return
        if cells:
            yield first_line, cells


def most_frequent_separator(header: str) -> str:
    """Return the separator between the names of the columns. No name contains one."""
    return max(SEPARATORS, key=header.count)


def text_lines(file: BinaryIO, progress: Callable[[int], None], digest: Any) -> Iterator[str]:
    """Yield the file's lines as text, without a leading byte order mark."""
    number = unreported = 0
    while raw := file.readline(MAX_LINE_BYTES):
        number += 1
        unreported += len(raw)
        digest.update(raw)
        if unreported >= PROGRESS_BYTES:
            progress(unreported)
            unreported = 0
        if len(raw) == MAX_LINE_BYTES:
            raise InvalidRow(Mistake(number, None, f"this line has more than {MAX_LINE_BYTES} bytes."))
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InvalidRow(Mistake(number, None, "this is not UTF-8. Save the file as CSV UTF-8.")) from None
    progress(unreported)


def parse_title(cell: str) -> str:
    """Return a title; raise ValueError if it contains a line break, or an invisible or unsupported character."""
    if letter := unreadable_character(cell):
        raise ValueError(f"remove the line break or the invisible or unsupported character U+{ord(letter):04X}.")
    return normal_text(cell)


def title_or_empty(cell: str) -> str:
    """Return a valid title, or an empty string."""
    try:
        return str(TITLE.clean(parse_title(cell), None))
    except (ValueError, ValidationError):
        return ""


def parse_cell_amount(cell: str) -> Decimal:
    """Return an exact amount; raise ValueError unless the cell has only digits 0-9 and at most one point."""
    if not NUMBER.fullmatch(cell):
        raise ValueError(f'"{cell[:40]}" is not a plain number. Write it like 1250.50, without sign, separators or exponent.')
    return Decimal(cell)


def parse_cell_expiry(cell: str) -> datetime | date | None:
    """Return an expiry: a timestamp, a date, or None for an empty cell; raise ValueError for anything else."""
    if not cell:
        return None
    try:
        if DATE.fullmatch(cell):
            return date.fromisoformat(cell)
        if TIMESTAMP.fullmatch(cell):
            return datetime.fromisoformat(cell.upper())
    except ValueError:
        pass  # it has the right form, but there is no such date or time
    raise ValueError(f'"{cell[:40]}" is neither a date (2030-03-31) nor a timestamp (2030-03-31T18:30:00Z).')
