"""CSV whose cells no spreadsheet takes for a formula, written by Python or by PostgreSQL."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

from django.db.models import Func, TextField

LINES_PER_CHUNK = 500  # each chunk costs a system call
ROWS_PER_FETCH = 2_000  # of a server-side cursor
BYTE_ORDER_MARK = "\ufeff"  # by it spreadsheet programs know UTF-8
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


# A spreadsheet program that splits at semicolons, tabs, bars or line breaks begins a new cell inside of one of ours. Commas
# need no escape: a cell with one is quoted, and a program that splits elsewhere does not split at commas. Python and PostgreSQL
# read the expression alike.
HIDDEN_FORMULA = r"([;\t|\r\n]\s*)(?=[=+\-@\t\r\n＝＋－＠])"
HIDDEN_FORMULAS = re.compile(HIDDEN_FORMULA)


class TimestampText(Func):
    """SQL that formats a timestamp as format_timestamp does."""

    template = """replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""
    output_field = TextField()


class EscapedText(Func):
    """SQL that escapes a text as escape_formula does."""

    template = (
        "regexp_replace(CASE WHEN left(%(expressions)s, 1) IN ("
        + ", ".join(f"chr({ord(start)})" for start in FORMULA_STARTS)
        + ") THEN chr(39) || (%(expressions)s) ELSE (%(expressions)s) END, "
        + f"'{HIDDEN_FORMULA}', '\\1''', 'g')"
    )
    output_field = TextField()


def escape_formula(cell: Any) -> Any:
    """Return the cell as text, with a quote before whatever a spreadsheet would take for a formula (OWASP, CSV injection).

    Some spreadsheets treat the full-width forms of East Asian keyboards like the plain characters.
    """
    text = "" if cell is None else str(cell)
    return HIDDEN_FORMULAS.sub(r"\1'", f"'{text}" if text.startswith(FORMULA_STARTS) else text)


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


def with_byte_order_mark(chunks: Iterable[str | bytes]) -> Iterator[str | bytes]:
    """Yield CSV that spreadsheet programs open as UTF-8 without being told."""
    yield BYTE_ORDER_MARK
    yield from chunks
