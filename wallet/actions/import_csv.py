"""Import of credits from a CSV or XLSX file: it is checked first, then read again to issue all credits or none."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from accounts.models import User
from kernel.transactions import atomic_with_retry
from wallet.actions import csv_rows, issue_assets, xlsx_rows
from wallet.actions.approvals import ApprovalRequired, awaiting_approval
from wallet.actions.csv_rows import (
    InvalidRow,
    Mistake,
    parse_cell_amount,
    parse_cell_expiry,
    parse_title,
    title_or_empty,
)
from wallet.actions.edit_pool import save_pool
from wallet.actions.import_draft import draft_import
from wallet.actions.import_mistakes import FileChanged, FileEmpty, FileRefused, MistakeLog, TooManyKinds
from wallet.actions.issue_assets import Progress
from wallet.assets.batches import BatchHeader
from wallet.assets.bulk_insert import AssetTemplate, TemplatedAsset
from wallet.assets.change_context import recording_change
from wallet.assets.models import CashbackAsset, CreditPool

COLUMNS = ("title", "total_value", "currency", "pool", "expires_at")
# Values for cells that cannot be parsed, so that the other cells of the line are validated too.
PLACEHOLDERS: dict[str, Any] = {"title": "?", "total_value": Decimal(1), "pool": None, "expires_at": None}
REQUIRED_COLUMNS = ("title", "total_value")
MAX_INVALID_LINES = 1_000  # then reading stops: validating an invalid line takes 0.2 ms
MAX_TEMPLATES = 10_000  # cached kinds of credits: a bound on memory


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
        new_pools: unsaved pools that lines may name; the import inserts them.
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
    new_pools: Sequence[CreditPool] = ()

    def __post_init__(self) -> None:
        pools = (*self.new_pools, *CreditPool.objects.all())
        self.pools: dict[str, CreditPool] = {name_key(pool.name): pool for pool in pools}
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
        log, invalid_lines = MistakeLog(), 0
        for credit in self.parse(digest):
            if isinstance(credit, InvalidRow):
                for mistake in credit.mistakes:
                    log.add(mistake)
                invalid_lines += any(not mistake.missing_pool for mistake in credit.mistakes)
                if invalid_lines == MAX_INVALID_LINES:
                    raise FileRefused(log, credit.mistakes[0].line)
            else:
                asset = credit.template.asset
                contents.count += 1
                credits_digest.update(credit_bytes(credit))
                contents.value[asset.currency] += asset.total_value  # type: ignore[assignment]
        if log.count:
            raise FileRefused(log)
        if not contents.count:
            raise FileEmpty
        contents.digest, contents.credits_digest = digest.hexdigest(), credits_digest.hexdigest()
        return contents

    def parse(self, digest: Any) -> Iterator[TemplatedAsset | InvalidRow]:
        """Yield each line's credit or its mistakes; `digest` is updated with the file."""
        kinds: Kinds = {}
        self.validated = 0
        try:
            rows = self.rows(digest)
            header = self.parse_header(next(rows, (1, [])))
            for line, cells in rows:
                yield self.parse_line(line, cells, header, kinds)
        except InvalidRow as error:
            # Lines and columns cannot be identified from here on.
            yield error

    def rows(self, digest: Any) -> Iterator[tuple[int, list[str]]]:
        """Yield the numbered rows of the file, by its content a workbook or separated text. Raises InvalidRow."""
        if xlsx_rows.is_xlsx(self.path):
            yield from xlsx_rows.workbook_rows(self.path, self.progress, digest)
        else:
            with self.path.open("rb") as file:
                yield from csv_rows.numbered_rows(file, self.progress, digest)

    def parse_line(self, line: int, cells: list[str], header: list[str], kinds: "Kinds") -> TemplatedAsset | InvalidRow:
        """Return the credit of one line, or its mistakes.

        Lines that differ only in their title are validated once, because a file of a million credits has few kinds. So are
        lines whose only mistake is a pool that does not exist.
        """
        title_index = header.index("title")
        kind = (*cells[:title_index], *cells[title_index + 1 :])
        if (known := kinds.get(kind)) and (title := title_or_empty(cells[title_index])):
            return TemplatedAsset(known, title) if isinstance(known, AssetTemplate) else InvalidRow(replace(known, line=line))
        self.validated += 1
        if self.max_validated is not None and self.validated > self.max_validated:
            raise TooManyKinds
        if len(kinds) == MAX_TEMPLATES:
            kinds.clear()
        asset = self.build_line_asset(line, cells, header)
        if isinstance(asset, InvalidRow):
            if len(asset.mistakes) == 1 and asset.mistakes[0].missing_pool:
                kinds[kind] = asset.mistakes[0]
            return asset
        template = kinds[kind] = AssetTemplate(asset)
        return TemplatedAsset(template, asset.title)

    def parse_header(self, first: tuple[int, list[str]]) -> list[str]:
        """Return the names of the columns; raise InvalidRow or FileEmpty."""
        line, names = first[0], [column_name(cell) for cell in first[1]]
        if not names:
            raise FileEmpty
        mistakes = [
            *(Mistake(line, name, "this column is missing.") for name in REQUIRED_COLUMNS if name not in names),
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
            asset = issue_assets.build_asset(self.actor, currency=row.get("currency"), **fields)
        except ValidationError as error:
            # The default currency is the pool's: with an unknown pool, an empty currency may be correct.
            unknown = {"currency"} if "pool" in messages and not row.get("currency") else set()
            messages = {name: texts for name, texts in error.message_dict.items() if name not in unknown} | messages
        if messages:
            missing = {"pool": (row["pool"], row.get("currency", ""))} if "pool" in messages else {}
            return InvalidRow(
                *(Mistake(line, name, text, *missing.get(name, ())) for name in COLUMNS for text in messages.get(name, ()))
            )
        return asset

    def find_pool(self, name: str) -> CreditPool | None:
        """Return the pool with this name, or the default pool for an empty one; raise ValueError if there is none."""
        if not name:
            return self.default_pool
        if (pool := self.pools.get(name_key(name))) is None:
            raise ValueError(f'there is no pool "{name[:100]}". Check the spelling.')
        return pool


# See pool_name_key.
INVISIBLE = dict.fromkeys(map(ord, "\u200c\u200d\ufe0f"))


def name_key(name: str) -> str:
    """Return the key by which lines find their pool: without case, spaces and differences of form, as names are unique."""
    return "".join(unicodedata.normalize("NFKC", name).translate(INVISIBLE).lower().split())


def credit_bytes(credit: TemplatedAsset) -> bytes:
    """Return everything that a credit will be, for a digest."""
    asset = credit.template.asset
    parts = (credit.title, asset.total_value, asset.currency, asset.pool_id, asset.expires_at)
    return "\x1f".join(map(str, parts)).encode() + b"\n"


Kinds = dict[tuple[str, ...], AssetTemplate | Mistake]


def column_name(cell: str) -> str:
    """Return the name of a column as a header has it: in any case, with spaces or hyphens for underscores."""
    name = re.sub(r"[\s_-]+", "_", cell.strip().lower())
    return name if name in COLUMNS else cell.strip()


def import_assets(file: CreditFile, batch: BatchHeader | None = None) -> int:
    """Open the file's new pools and issue all its credits, in one transaction and one batch, and return how many credits.

    Arguments:
        batch: by default named after the file.

    Raises AwaitsApproval when a pool gets more than its approval threshold, FileChanged, ValidationError.
    """
    try:
        return import_at_once(file, batch)
    except ApprovalRequired:
        draft = draft_import(file, batch.file_name if batch else file.path.name)
    raise awaiting_approval(draft)


def insert_file(file: CreditFile, batch: BatchHeader | None = None) -> int:
    """Import within the caller's transaction; see import_assets. Raises ApprovalRequired."""
    for pool in file.new_pools:
        with recording_change(file.actor, "open"):
            save_pool(pool, force_insert=True)
    digest = file.expected.digest if file.expected else ""
    name = file.path.name
    return issue_assets.insert_assets(file, batch or BatchHeader(name, file_name=name, file_digest=digest)).count


import_at_once = atomic_with_retry(idempotent=False)(insert_file)
