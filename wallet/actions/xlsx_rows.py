"""Rows of an XLSX workbook as text, read one at a time. What would exhaust the memory is refused before it is parsed."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from wallet.actions.csv_rows import InvalidRow, Mistake

SIGNATURE = b"PK\x03\x04"
MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_UNPACKED_BYTES = 100 * 1024 * 1024  # of all parts together; shared texts are in memory while reading
MAX_PARTS = 1_000
MAX_ROWS = 200_000
MAX_COLUMNS = 50
MAX_CELL_LENGTH = 32_767  # Excel's own limit
CHUNK_BYTES = 1024 * 1024
# Declarations of entities could expand without limit. A workbook has none, in any encoding.
FORBIDDEN = [name.encode(encoding) for name in ("<!DOCTYPE", "<!ENTITY") for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
OVERLAP = max(map(len, FORBIDDEN))
DAMAGED = (InvalidFileException, zipfile.BadZipFile, zlib.error, LookupError, ValueError, TypeError, SyntaxError, EOFError)
NOT_A_WORKBOOK = "this is not an Excel workbook (XLSX), or it is damaged. Save it again, or as CSV UTF-8."


def is_xlsx(path: Path) -> bool:
    """Return whether the file begins like a workbook."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def workbook_rows(path: Path, progress: Callable[[int], None], digest: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first sheet with their numbers; skip blank rows. Raises InvalidRow if it is not a safe workbook."""
    hash_file(path, digest)
    try:
        check_size(path)
        with path.open("rb") as file:
            yield from sheet_rows(load_workbook(file, read_only=True, data_only=True, keep_links=False).worksheets[0])
    except DAMAGED as error:
        raise InvalidRow(Mistake(1, None, NOT_A_WORKBOOK)) from error
    progress(path.stat().st_size)


def hash_file(path: Path, digest: Any) -> None:
    """Update the digest with the file."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)


def check_size(path: Path) -> None:
    """Raise InvalidRow if the workbook is too large, unpacks to too much, or declares entities."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidRow(Mistake(1, None, "this workbook is too large. Save it as CSV UTF-8."))
    with zipfile.ZipFile(path) as parts:
        listed = parts.infolist()
        if len(listed) > MAX_PARTS or sum(part.file_size for part in listed) > MAX_UNPACKED_BYTES:
            raise InvalidRow(Mistake(1, None, "this workbook unpacks to too much. Save it as CSV UTF-8."))
        for part in listed:
            check_part(parts, part)


def check_part(parts: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Raise InvalidRow if a part declares entities. A part that is larger than its entry says is refused as damaged."""
    with parts.open(part) as content:
        tail = b""
        while chunk := content.read(CHUNK_BYTES):
            if any(word in tail + chunk for word in FORBIDDEN):
                raise InvalidRow(Mistake(1, None, NOT_A_WORKBOOK))
            tail = chunk[-OVERLAP:]


def sheet_rows(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not blank, each as wide as the first one. Raises InvalidRow beyond MAX_ROWS."""
    width = 0
    for number, cells in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS), start=1):
        if number > MAX_ROWS:
            raise InvalidRow(Mistake(number, None, f"this workbook has more than {MAX_ROWS:,} rows. Save it as CSV UTF-8."))
        texts = [cell_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if texts:
            width = width or len(texts)
            yield number, texts + [""] * (width - len(texts))


def cell_text(cell: Any) -> str:
    """Return a cell as it would be written in a CSV file: a date without a time as the date alone."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(timespec="seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)[:MAX_CELL_LENGTH]
