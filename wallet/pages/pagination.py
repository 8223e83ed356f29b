"""Numbered pages of a list, without a count of the whole list."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from django.http import Http404

from kernel.whole_numbers import parse_whole_number

T = TypeVar("T")
U = TypeVar("U")
R_co = TypeVar("R_co", covariant=True)

PAGE_SIZE = 20
LAST_PAGE = 1_000


class Rows(Protocol[R_co]):
    """Rows that can be sliced: a query, or an object that reads one."""

    def __getitem__(self, part: slice, /) -> Iterable[R_co]: ...


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; `previous` and `next` are page numbers or None."""

    items: list[T]
    number: int
    next: int | None

    @property
    def previous(self) -> int | None:
        """Return the number of the page before, or None on the first."""
        return self.number - 1 or None

    def map(self, convert: Callable[[T], U]) -> "Page[U]":
        """Return the same page with each item converted."""
        return Page([convert(item) for item in self.items], self.number, self.next)


def paginate(rows: Rows[T], number: str | None, size: int = PAGE_SIZE) -> Page[T]:
    """Return page `number` (a query parameter, from 1) of ordered rows, in one query. Raises Http404."""
    try:
        page_number = parse_whole_number(number) if number else 1
    except ValueError as error:
        raise Http404 from error
    if not 1 <= page_number <= LAST_PAGE:
        raise Http404
    start = (page_number - 1) * size
    items = list(rows[start : start + size + 1])
    return Page(items[:size], page_number, page_number + 1 if page_number < LAST_PAGE and len(items) > size else None)
