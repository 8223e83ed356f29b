"""Import of credits from a CSV file: the file is checked first, then read again to issue all credits or none."""

import hashlib
import unicodedata
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
from kernel.constraint_words import violations_in_words
from kernel.refusals import BadRequest
from wallet.actions import issue_assets
from wallet.actions.csv_rows import (
    InvalidRow,
    Mistake,
    numbered_rows,
    parse_cell_amount,
    parse_cell_expiry,
    parse_title,
    title_or_empty,
)
from wallet.actions.issue_assets import Progress
from wallet.assets.batches import BatchHeader
from wallet.assets.bulk_insert import AssetTemplate, TemplatedAsset
from wallet.assets.constraint_words import WORDS
from wallet.assets.models import CashbackAsset, CreditPool

COLUMNS = ("title", "total_value", "currency", "pool", "expires_at")
# Values for cells that cannot be parsed, so that the other cells of the line are validated too.
PLACEHOLDERS: dict[str, Any] = {"title": "?", "total_value": Decimal(1), "pool": None, "expires_at": None}
MAX_LISTED_MISTAKES = 50  # the others are only counted
MAX_INVALID_LINES = 1_000  # then reading stops: validating an invalid line takes 0.2 ms
MAX_TEMPLATES = 10_000  # cached kinds of credits: a bound on memory


class FileRefused(BadRequest):
    """`mistakes` holds the first MAX_LISTED_MISTAKES, `count` is the number of all.

    `line` is the last line read if reading stopped at too many invalid lines.
    """

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
    detail = _("Nothing was imported: too many rows differ in more than their title. Split it, or use manage.py import_assets.")


class FileChanged(BadRequest):
    code = "file_changed"
    meaning = _("The file differs from the one that was checked.")
    detail = _("Nothing was imported: the file, or a pool that it names, changed after the file was checked. Import it again.")


class FileEmpty(BadRequest):
    code = "file_empty"
    meaning = _("The imported file has no credits.")
    detail = _("This file has no credits. It needs a header row and one row per credit.")


@dataclass
class Contents:
    """Summary of a file: number of credits, value per currency, the SHA-256 of the file, and that of the credits it makes.

    The same file makes other credits when a pool's currency or time zone has changed.
    """

    count: int = 0
    value: Counter[str] = field(default_factory=Counter)  # exact: Decimal sums
    digest: str = ""
    credits_digest: str = ""


@dataclass
class CreditFile:
    """A file of credits, which can be iterated any number of times and keeps one line in memory.

    Arguments:
        default_pool: the pool of lines without one.
        progress: called with the number of bytes read.
        expected: the contents that iteration must find; None before the check.
        max_validated: how many lines are validated (see parse_line) before TooManyKinds is raised; None: no limit.
    """

    path: Path
    actor: User | None
    default_pool: CreditPool | None = None
    progress: Progress = lambda _: None
    expected: Contents | None = None
    max_validated: int | None = None

    def __post_init__(self) -> None:
        self.pools = {name_key(pool.name): pool for pool in CreditPool.objects.all()}
        self.validated = 0

    def __iter__(self) -> Iterator[TemplatedAsset]:
        """Yield the unsaved credits; raise FileChanged if they are not those that were checked."""
        contents, digest, credits_digest = Contents(), hashlib.sha256(), hashlib.sha256()
        for credit in self.parse(digest):
            if isinstance(credit, InvalidRow):
                raise FileChanged
            contents.count += 1
            credits_digest.update(credit_bytes(credit))
            yield credit
        found = (contents.count, digest.hexdigest(), credits_digest.hexdigest())
        if self.expected and found != (self.expected.count, self.expected.digest, self.expected.credits_digest):
            raise FileChanged

    def check(self) -> Contents:
        """Read the whole file and return its contents; raise FileRefused with its mistakes, FileEmpty or TooManyKinds.

        Reading stops after MAX_INVALID_LINES invalid lines.
        """
        contents, digest, credits_digest = Contents(), hashlib.sha256(), hashlib.sha256()
        mistakes: list[Mistake] = []
        count = invalid_lines = 0
        for credit in self.parse(digest):
            if isinstance(credit, InvalidRow):
                invalid_lines += 1
                count += len(credit.mistakes)
                mistakes.extend(islice(credit.mistakes, MAX_LISTED_MISTAKES - len(mistakes)))
                if invalid_lines == MAX_INVALID_LINES:
                    raise FileRefused(mistakes, count, credit.mistakes[0].line)
            else:
                asset = credit.template.asset
                contents.count += 1
                credits_digest.update(credit_bytes(credit))
                contents.value[asset.currency] += asset.total_value  # type: ignore[assignment]
        if count:
            raise FileRefused(mistakes, count)
        if not contents.count:
            raise FileEmpty
        contents.digest, contents.credits_digest = digest.hexdigest(), credits_digest.hexdigest()
        return contents

    def parse(self, digest: Any) -> Iterator[TemplatedAsset | InvalidRow]:
        """Yield each line's credit or its mistakes; `digest` is updated with the file."""
        templates: dict[tuple[str, ...], AssetTemplate] = {}
        self.validated = 0
        with self.path.open("rb") as file:
            rows = numbered_rows(file, self.progress, digest)
            try:
                header = self.parse_header(next(rows, (1, [])))
                for line, cells in rows:
                    yield self.parse_line(line, cells, header, templates)
            except InvalidRow as error:
                # Lines and columns cannot be identified from here on.
                yield error

    def parse_line(
        self, line: int, cells: list[str], header: list[str], templates: dict[tuple[str, ...], AssetTemplate]
    ) -> TemplatedAsset | InvalidRow:
        """Return the credit of one line, or its mistakes.

        Lines that differ only in their title are validated once, because a file of a million credits has few kinds.
        """
        title_index = header.index("title")
        kind = (*cells[:title_index], *cells[title_index + 1 :])
        if (template := templates.get(kind)) and (title := title_or_empty(cells[title_index])):
            return TemplatedAsset(template, title)
        self.validated += 1
        if self.max_validated is not None and self.validated > self.max_validated:
            raise TooManyKinds
        asset = self.build_line_asset(line, cells, header)
        if isinstance(asset, InvalidRow):
            return asset
        if len(templates) == MAX_TEMPLATES:
            templates.clear()
        templates[kind] = AssetTemplate(asset)
        return TemplatedAsset(templates[kind], asset.title)

    def parse_header(self, first: tuple[int, list[str]]) -> list[str]:
        """Return the names of the columns; raise InvalidRow or FileEmpty."""
        line, names = first[0], [name.strip() for name in first[1]]
        if not names:
            raise FileEmpty
        optional = {"pool"} if self.default_pool else set()
        mistakes = [
            *(Mistake(line, name, "this column is missing.") for name in COLUMNS if name not in {*names, *optional}),
            *(Mistake(line, name or "?", "unknown column.") for name in names if name not in COLUMNS),
            *(Mistake(line, name, "duplicate column.") for name, count in Counter(names).items() if count > 1),
        ]
        if mistakes:
            raise InvalidRow(*mistakes)
        return names

    def build_line_asset(self, line: int, cells: list[str], header: list[str]) -> CashbackAsset | InvalidRow:
        """Return the asset of one line, or its mistakes."""
        if len(cells) != len(header):
            return InvalidRow(Mistake(line, None, f"expected {len(header)} cells, found {len(cells)}."))
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        fields: dict[str, Any] = dict(PLACEHOLDERS)
        messages: dict[str, list[str]] = {}
        for name, parse in (
            ("title", parse_title),
            ("total_value", parse_cell_amount),
            ("pool", self.find_pool),
            ("expires_at", parse_cell_expiry),
        ):
            try:
                fields[name] = parse(row.get(name, ""))
            except ValueError as error:
                messages[name] = [str(error)]
        try:
            asset = issue_assets.build_asset(self.actor, currency=row["currency"], **fields)
        except ValidationError as error:
            # The default currency is the pool's: with an unknown pool, an empty currency may be correct.
            unknown = {"currency"} if "pool" in messages and not row["currency"] else set()
            messages = {name: texts for name, texts in error.message_dict.items() if name not in unknown} | messages
        if messages:
            return InvalidRow(*(Mistake(line, name, text) for name in COLUMNS for text in messages.get(name, ())))
        return asset

    def find_pool(self, name: str) -> CreditPool | None:
        """Return the pool with this name, or the default pool for an empty one; raise ValueError if there is none."""
        if not name:
            return self.default_pool
        if (pool := self.pools.get(name_key(name))) is None:
            raise ValueError(f'there is no pool "{name[:100]}". Check the spelling.')
        return pool


def name_key(name: str) -> str:
    """Return the key by which lines find their pool: without case, spaces and differences of form, as names are unique."""
    return "".join(unicodedata.normalize("NFKC", name).lower().split())


def credit_bytes(credit: TemplatedAsset) -> bytes:
    """Return everything that a credit will be, for a digest."""
    asset = credit.template.asset
    parts = (credit.title, asset.total_value, asset.currency, asset.pool_id, asset.expires_at)
    return "\x1f".join(map(str, parts)).encode() + b"\n"


def import_assets(file: CreditFile) -> int:
    """Issue all credits of a checked file in one transaction, and return how many. Raises FileChanged."""
    with violations_in_words(WORDS):
        return issue_assets.issue_assets(file, batch=BatchHeader(file.path.name)).count
