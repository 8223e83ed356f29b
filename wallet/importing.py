"""Credits from a CSV file: read once to find every mistake, and once more to issue them all, or none."""

import csv
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError

from accounts.models import User
from accounts.refusals import Refusal
from wallet import issuing
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.issuing import Progress

COLUMNS = ("title", "total_value", "currency", "pool", "expires_at")
# Stand in for a cell that cannot be read, so that the others of its line are judged all the same.
PLACEHOLDERS: dict[str, Any] = {"title": "?", "total_value": Decimal(1), "pool": None, "expires_at": None}
MOST_SHOWN = 50  # mistakes; the others are counted
LONGEST_LINE = 64 * 1024  # bytes: a file that is not a table must not fill the memory
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


class FileRefused(Refusal):
    """The file has mistakes; nothing was issued. `mistakes` holds the first 50, `count` tells of all."""

    code = "file_refused"
    detail = "The file has mistakes. Correct them and import it again."

    def __init__(self, mistakes: list[Mistake], count: int) -> None:
        super().__init__(f"Nothing was imported: {count:,} mistake{'' if count == 1 else 's'} in the file.")
        self.mistakes, self.count = mistakes, count


class FileChanged(Refusal):
    """The file is not what it was when it was checked."""

    code = "file_changed"
    detail = "Nothing was imported: the file was changed while it was read. Import it again."


class FileEmpty(Refusal):
    """There is no credit in the file."""

    code = "file_empty"
    detail = "There is no credit in this file: it needs a line of column names and a line for each credit."


class WrongRow(Exception):  # noqa: N818  (inside this room only)
    """One line with its mistakes."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes


@dataclass
class Contents:
    """What a file holds: how many credits, of what value per currency, and a digest of what was read."""

    count: int = 0
    value: Counter[str] = field(default_factory=Counter)  # exact: Decimal sums
    digest: str = ""


@dataclass
class CreditFile:
    """A file of credits, which may be read any number of times, one line in memory.

    `default_pool` is the pool of the lines that name none; `progress` is told how many bytes were read.
    """

    path: Path
    actor: User | None
    default_pool: CreditPool | None = None
    progress: Progress = lambda _: None
    # What a reading must come to; None while nobody knows.
    expected: Contents | None = None

    def __post_init__(self) -> None:
        self.pools = {pool.name: pool for pool in CreditPool.objects.all()}

    def __iter__(self) -> Iterator[CashbackAsset]:
        """Yield the credits, not saved yet; raise FileChanged when they are not those that were checked."""
        contents, digest = Contents(), hashlib.sha256()
        for asset in self.read(digest):
            if isinstance(asset, WrongRow):
                raise FileChanged
            contents.count += 1
            yield asset
        if self.expected and (contents.count, digest.hexdigest()) != (self.expected.count, self.expected.digest):
            raise FileChanged

    def check(self) -> Contents:
        """Read the whole file and return what it holds; raise FileRefused with its mistakes, or FileEmpty."""
        contents, digest = Contents(), hashlib.sha256()
        mistakes: list[Mistake] = []
        count = 0
        for asset in self.read(digest):
            if isinstance(asset, WrongRow):
                count += len(asset.mistakes)
                mistakes.extend(islice(asset.mistakes, MOST_SHOWN - len(mistakes)))
            else:
                contents.count += 1
                contents.value[asset.currency] += asset.total_value  # type: ignore[assignment]
        if count:
            raise FileRefused(mistakes, count)
        if not contents.count:
            raise FileEmpty
        contents.digest = digest.hexdigest()
        return contents

    def read(self, digest: Any) -> Iterator[CashbackAsset | WrongRow]:
        """Yield each line's credit, or what is wrong with it; `digest` is fed all cells."""
        with self.path.open("rb") as file:
            rows = numbered(file, self.progress)
            try:
                header = self.header(next(rows, (1, [])))
                for line, cells in rows:
                    digest.update(repr(cells).encode())
                    yield self.asset(line, cells, header)
            except WrongRow as end:
                # From here on nobody can say where a line begins, or what its cells mean.
                yield end

    def header(self, first: tuple[int, list[str]]) -> list[str]:
        """Return the names of the columns, or raise WrongRow."""
        line, names = first[0], [name.strip() for name in first[1]]
        if not names:
            raise FileEmpty
        optional = {"pool"} if self.default_pool else set()
        mistakes = [
            *(Mistake(line, name, "this column is missing.") for name in COLUMNS if name not in {*names, *optional}),
            *(Mistake(line, name or "?", "there is no such column.") for name in names if name not in COLUMNS),
            *(Mistake(line, name, "this column is there twice.") for name, count in Counter(names).items() if count > 1),
        ]
        if mistakes:
            raise WrongRow(*mistakes)
        return names

    def asset(self, line: int, cells: list[str], header: list[str]) -> CashbackAsset | WrongRow:
        """Return the credit of one line, or what is wrong with it."""
        if len(cells) != len(header):
            return WrongRow(Mistake(line, None, f"there are {len(cells)} cells under {len(header)} columns."))
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        fields: dict[str, Any] = dict(PLACEHOLDERS)
        wrong: dict[str, list[str]] = {}
        for name, parse in (("title", title), ("total_value", number), ("pool", self.pool), ("expires_at", end)):
            try:
                fields[name] = parse(row.get(name, ""))
            except ValueError as error:
                wrong[name] = [str(error)]
        try:
            asset = issuing.prepared(self.actor, currency=row["currency"], **fields)
        except ValidationError as error:
            # Without its pool nobody knows whether an empty currency is a mistake.
            unknown = {"currency"} if "pool" in wrong and not row["currency"] else set()
            wrong = {name: texts for name, texts in error.message_dict.items() if name not in unknown} | wrong
        if wrong:
            return WrongRow(*(Mistake(line, name, what) for name in COLUMNS for what in wrong.get(name, ())))
        return asset

    def pool(self, name: str) -> CreditPool | None:
        """Return the pool with this name; raise ValueError when there is none."""
        if not name:
            return self.default_pool
        if name not in self.pools:
            raise ValueError(f'there is no pool "{name}". Its name must be written as it is there, capitals included.')
        return self.pools[name]


def import_assets(file: CreditFile) -> int:
    """Issue all credits of a checked file in one act, or none, and return how many. Raises FileChanged."""
    return issuing.issue_all(file).count


def numbered(file: BinaryIO, progress: Progress) -> Iterator[tuple[int, list[str]]]:
    """Yield the file's rows with the number of the line each begins on; blank lines are passed over.

    Raises WrongRow where the file stops being a table in UTF-8.
    """
    rows = csv.reader(lines(file, progress), strict=True)
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


def lines(file: BinaryIO, progress: Progress) -> Iterator[str]:
    """Yield the file's lines as text, without the byte order mark that some programs put first."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        progress(len(raw))
        if len(raw) == LONGEST_LINE:
            raise WrongRow(Mistake(number, None, f"this line has more than {LONGEST_LINE} bytes."))
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise WrongRow(Mistake(number, None, "this is not UTF-8. Save the file as CSV UTF-8.")) from None


def title(cell: str) -> str:
    """Return a title; raise ValueError when it holds characters that nobody can see."""
    if any(unicodedata.category(letter) == "Cc" for letter in cell):
        raise ValueError("there is a control character or a line break in it.")
    return cell


def number(cell: str) -> Decimal:
    """Return an exact amount; raise ValueError unless it is written with digits 0-9 and at most one point."""
    if not NUMBER.fullmatch(cell):
        raise ValueError(f'"{cell[:40]}" is not a plain number. Write it like 1250.50, without sign, separators or exponent.')
    return Decimal(cell)


def end(cell: str) -> datetime | date | None:
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
