"""Credits from a CSV file: read once to find every mistake, and once more to issue them all, or none."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import BadRequest
from wallet.actions import issue_assets
from wallet.actions.csv_rows import (
    Mistake,
    WrongRow,
    numbered_rows,
    parse_cell_amount,
    parse_cell_expiry,
    parse_title,
    title_or_empty,
)
from wallet.actions.issue_assets import Progress
from wallet.assets.bulk_insert import AssetTemplate, TemplatedAsset
from wallet.assets.models import CashbackAsset, CreditPool

COLUMNS = ("title", "total_value", "currency", "pool", "expires_at")
# Stand in for a cell that cannot be read, so that the others of its line are judged all the same.
PLACEHOLDERS: dict[str, Any] = {"title": "?", "total_value": Decimal(1), "pool": None, "expires_at": None}
MOST_SHOWN = 50  # mistakes; the others are counted
MOST_WRONG_LINES = 1_000  # then reading ends: to judge a wrong line takes a fifth of a millisecond
MOST_MOULDS = 10_000  # kinds of credits whose judgement is remembered: no file may fill the memory with them


class FileRefused(BadRequest):
    """`mistakes` holds the first 50, `count` is the number of all found, `line` the last line read if reading ended early."""

    code = "file_refused"
    meaning = _("The imported file has errors, so nothing was issued.")
    detail = _("The file has errors. Correct them and import it again.")

    def __init__(self, mistakes: list[Mistake], count: int, line: int | None = None) -> None:
        where = f"in its first {line:,} lines; the rest was not read" if line else "in the file"
        super().__init__(f"Nothing was imported: {count:,} mistake{'' if count == 1 else 's'} {where}.")
        self.mistakes, self.count = mistakes, count


class TooManyKinds(BadRequest):
    code = "file_refused"
    meaning = _("The imported file has too many different rows for an import in the browser.")
    detail = _(
        "Nothing was imported: too many lines of the file differ in more than their title. "
        "Split it, or use manage.py import_assets."
    )


class FileChanged(BadRequest):
    code = "file_changed"
    meaning = _("The file differs from the one that was checked.")
    detail = _("Nothing was imported: the file changed while it was being read. Import it again.")


class FileEmpty(BadRequest):
    code = "file_empty"
    meaning = _("The imported file has no credits.")
    detail = _("There is no credit in this file: it needs a line of column names and a line for each credit.")


@dataclass
class Contents:
    """What a file holds: how many credits, of what value per currency, and a digest of what was read."""

    count: int = 0
    value: Counter[str] = field(default_factory=Counter)  # exact: Decimal sums
    digest: str = ""


@dataclass
class CreditFile:
    """A file of credits, which may be read any number of times, one line in memory.

    `default_pool` is the pool of the lines that name none; `progress` is told how many bytes were read; `most_judged` is how
    many lines are judged (see `credit`) before TooManyKinds is raised, None for any number.
    """

    path: Path
    actor: User | None
    default_pool: CreditPool | None = None
    progress: Progress = lambda _: None
    # What a reading must come to; None while nobody knows.
    expected: Contents | None = None
    most_judged: int | None = None

    def __post_init__(self) -> None:
        self.pools = {pool.name: pool for pool in CreditPool.objects.all()}
        self.judged = 0

    def __iter__(self) -> Iterator[TemplatedAsset]:
        """Yield the credits, not saved yet; raise FileChanged when they are not those that were checked."""
        contents, digest = Contents(), hashlib.sha256()
        for credit in self.read(digest):
            if isinstance(credit, WrongRow):
                raise FileChanged
            contents.count += 1
            yield credit
        if self.expected and (contents.count, digest.hexdigest()) != (self.expected.count, self.expected.digest):
            raise FileChanged

    def check(self) -> Contents:
        """Read the whole file and return what it holds; raise FileRefused with its mistakes, FileEmpty or TooManyKinds.

        Reading ends at the last of MOST_WRONG_LINES wrong lines.
        """
        contents, digest = Contents(), hashlib.sha256()
        mistakes: list[Mistake] = []
        count = wrong_lines = 0
        for credit in self.read(digest):
            if isinstance(credit, WrongRow):
                wrong_lines += 1
                count += len(credit.mistakes)
                mistakes.extend(islice(credit.mistakes, MOST_SHOWN - len(mistakes)))
                if wrong_lines == MOST_WRONG_LINES:
                    raise FileRefused(mistakes, count, credit.mistakes[0].line)
            else:
                asset = credit.mould.asset
                contents.count += 1
                contents.value[asset.currency] += asset.total_value  # type: ignore[assignment]
        if count:
            raise FileRefused(mistakes, count)
        if not contents.count:
            raise FileEmpty
        contents.digest = digest.hexdigest()
        return contents

    def read(self, digest: Any) -> Iterator[TemplatedAsset | WrongRow]:
        """Yield each line's credit, or what is wrong with it; `digest` is fed the file."""
        moulds: dict[tuple[str, ...], AssetTemplate] = {}
        self.judged = 0
        with self.path.open("rb") as file:
            rows = numbered_rows(file, self.progress, digest)
            try:
                header = self.header(next(rows, (1, [])))
                for line, cells in rows:
                    yield self.credit(line, cells, header, moulds)
            except WrongRow as end:
                # From here on nobody can say where a line begins, or what its cells mean.
                yield end

    def credit(
        self, line: int, cells: list[str], header: list[str], moulds: dict[tuple[str, ...], AssetTemplate]
    ) -> TemplatedAsset | WrongRow:
        """Return the credit of one line, or what is wrong with it.

        Lines that differ only in their title are judged once: a file of a million credits holds few kinds.
        """
        place = header.index("title")
        kind = (*cells[:place], *cells[place + 1 :])
        if (mould := moulds.get(kind)) and (name := title_or_empty(cells[place])):
            return TemplatedAsset(mould, name)
        self.judged += 1
        if self.most_judged is not None and self.judged > self.most_judged:
            raise TooManyKinds
        asset = self.asset(line, cells, header)
        if isinstance(asset, WrongRow):
            return asset
        if len(moulds) == MOST_MOULDS:
            moulds.clear()
        moulds[kind] = AssetTemplate(asset)
        return TemplatedAsset(moulds[kind], asset.title)

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
        for name, parse in (
            ("title", parse_title),
            ("total_value", parse_cell_amount),
            ("pool", self.pool),
            ("expires_at", parse_cell_expiry),
        ):
            try:
                fields[name] = parse(row.get(name, ""))
            except ValueError as error:
                wrong[name] = [str(error)]
        try:
            asset = issue_assets.build_asset(self.actor, currency=row["currency"], **fields)
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
            raise ValueError(f'there is no pool "{name[:100]}". Its name must be written as it is there, capitals included.')
        return self.pools[name]


def import_assets(file: CreditFile) -> int:
    """Issue all credits of a checked file in one act, or none, and return how many. Raises FileChanged."""
    return issue_assets.issue_assets(file).count
