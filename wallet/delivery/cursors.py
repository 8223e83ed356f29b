"""Positions in the stream of events."""

import re
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext_noop as _

from kernel.refusals import BadRequest
from wallet.delivery.event_types import Source

FORM = re.compile(r"(\d{1,18})(?:\.([1-9]\d{0,17})\.(\d{1,6})(?:\.(\d{1,18})\.([1-5])\.([0-9a-f-]{1,36}))?)?")


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    meaning = _("The cursor is not one that the feed returned.")
    detail = _("This cursor is not valid. Use the last one that the feed returned, or start without one.")


class Cursor(NamedTuple):
    """A position: all events up to the tick, and the first `offset` of a part of those after it.

    The part is that of the events between the ticks `tick` and `until` that follow the row `row` of `source` in the order of
    transactions, or all of them when it names none. With `until` 0 there is no part. Callers get it as text, and must not
    depend on its form.
    """

    tick: int = 0
    until: int = 0
    offset: int = 0
    xid: int = 0
    source: int = 0
    row: str = ""

    def __str__(self) -> str:
        parts = self if self.row else self[:3] if self.until else self[:1]
        return ".".join(map(str, parts))


START = Cursor()


def parse_cursor(text: str) -> Cursor:
    """Return the position for the text. Raises InvalidCursor."""
    found = FORM.fullmatch(text) if text.isascii() else None
    if found is None:
        raise InvalidCursor
    tick, until, offset, xid, source, row = found.groups()
    if row and not is_row_id(int(source), row):
        raise InvalidCursor
    return Cursor(int(tick), int(until or 0), int(offset or 0), int(xid or 0), int(source or 0), row or "")


def is_row_id(source: int, row: str) -> bool:
    """Return whether the text is an id of the source's table."""
    if source in (Source.ISSUE, Source.CHANGE):
        return row.isdigit() and len(row) <= 18
    try:
        return str(UUID(row)) == row
    except ValueError:
        return False
