"""CSV whose cells no spreadsheet takes for a formula, written by Python or by PostgreSQL."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

from django.db.models import Func, TextField

LINES_PER_CHUNK = 500  # each chunk costs a system call
ROWS_PER_FETCH = 2_000  # of a server-side cursor
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class TimestampText(Func):
    """SQL that formats a timestamp as format_timestamp does."""

    template = """replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""
    output_field = TextField()


class EscapedText(Func):
    """SQL that escapes a text as escape_formula does."""

    template = (
        "CASE WHEN left(%(expressions)s, 1) IN (" + ", ".join(f"chr({ord(start)})" for start in FORMULA_STARTS) + ")"
        " THEN chr(39) || (%(expressions)s) ELSE (%(expressions)s) END"
    )
    output_field = TextField()


def escape_formula(cell: Any) -> Any:
    """Return the cell as text, with a quote before whatever a spreadsheet would take for a formula (OWASP, CSV injection).

    Some spreadsheets treat the full-width forms of East Asian keyboards like the plain characters.
    """
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def csv_chunks(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield CSV in chunks of LINES_PER_CHUNK lines, beginning with the header; cells are escaped."""
    block = StringIO()
    writer = csv.writer(block)
    writer.writerow(columns)
    for number, line in enumerate(lines, start=1):
        writer.writerow(map(escape_formula, line))
        if number % LINES_PER_CHUNK == 0:
            yield block.getvalue()
            block.seek(0)
            block.truncate()
    yield block.getvalue()
