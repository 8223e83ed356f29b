"""Part of a list at a time, without counting the whole."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404

M = TypeVar("M", bound=Model)

PAGE_SIZE = 20
LAST_PAGE = 10_000


@dataclass(frozen=True)
class Page(Generic[M]):
    """One page of a list; `previous` and `next` are page numbers or None."""

    items: list[M]
    number: int
    next: int | None

    @property
    def previous(self) -> int | None:
        """Return the number of the page before, or None on the first."""
        return self.number - 1 or None


def page_of(rows: QuerySet[M], number: str | None) -> Page[M]:
    """Return page `number` (as it stands in the address, from 1) of ordered rows, by one query. Raises Http404."""
    wanted = int(number) if number and number.isascii() and number.isdecimal() and len(number) < 6 else 0 if number else 1
    if not 1 <= wanted <= LAST_PAGE:
        raise Http404
    start = (wanted - 1) * PAGE_SIZE
    items = list(rows[start : start + PAGE_SIZE + 1])
    return Page(items[:PAGE_SIZE], wanted, wanted + 1 if len(items) > PAGE_SIZE else None)
