"""Refusals: requests that were understood and refused, each with a stable code. Never a bug.

A refusal is a class beside the function that raises it. Its category, one of the classes below, decides the HTTP status and
its place in the OpenAPI schema, so that a new refusal touches one file.
"""

from collections.abc import Iterator
from typing import ClassVar


class Refusal(Exception):
    """A request understood and refused; nothing was changed.

    `code` is stable and machine-readable, `detail` tells a person what to do next, `retry_after` is the number of seconds
    after which asking again makes sense (or None).
    """

    code: ClassVar[str]
    detail: ClassVar[str]
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None) -> None:
        self.message = detail or self.detail
        super().__init__(self.message)


class BadRequest(Refusal):
    """The request lacks something or does not make sense."""


class Unauthenticated(Refusal):
    """The credentials are missing, wrong or no longer valid."""


class NotFound(Refusal):
    """There is no such thing, or none that the caller may see."""


class Conflict(Refusal):
    """The request does not fit the current state."""


class Unprocessable(Refusal):
    """The request contradicts an earlier one."""


class TooManyRequests(Refusal):
    """The caller asks more often than allowed."""


class Unavailable(Refusal):
    """The server cannot do it now; asking again later may succeed."""


CATEGORIES = (BadRequest, Unauthenticated, NotFound, Conflict, Unprocessable, TooManyRequests, Unavailable)


def all_refusals(category: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Yield every class of refusal that has a code, of one category or of all, as far as their modules are imported."""
    for kind in category.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from all_refusals(kind)
