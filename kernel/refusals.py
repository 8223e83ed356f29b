"""Refusals: requests that were understood and refused, each with a stable code. A refusal is never a bug.

A refusal is a class beside the function that raises it. Its category, one of the classes below, decides the HTTP status. The
OpenAPI schema and the pages below /problems/ are derived from the class, so a new refusal touches one file.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class Refusal(Exception):
    """A request understood and refused; nothing was changed.

    A refusal that can be the answer to a request derives from a category. Only a refusal of a command of `dev` has none.

    code: stable and machine-readable.
    meaning: what the code means, one sentence for the page /problems/<code>/.
    detail: the sentence for the user: what happened and what to do next.
    retry_after: the number of seconds after which a retry may succeed, or None when a retry does not help.
    members: further members of the problem that answers it, in JSON types.
    """

    code: ClassVar[str]
    meaning: ClassVar[str]
    detail: ClassVar[str]
    retry_after: ClassVar[int | None] = None
    members: Mapping[str, Any] = {}

    def __init__(self, detail: str | None = None) -> None:
        self.message = detail or self.detail
        super().__init__(self.message)


class BadRequest(Refusal):
    """The request is incomplete or cannot be processed as it is."""


class Unauthenticated(Refusal):
    """The credentials are missing, wrong or no longer valid."""


class Forbidden(Refusal):
    """The caller is known and may not do this."""


class NotFound(Refusal):
    """The thing does not exist, or the caller may not see it."""


class Conflict(Refusal):
    """The request does not fit the current state."""


class PreconditionFailed(Refusal):
    """The row is no longer as the caller read it."""


class Unprocessable(Refusal):
    """The request contradicts an earlier one."""


class TooManyRequests(Refusal):
    """The caller has exceeded a rate limit."""


class Unavailable(Refusal):
    """The server cannot process the request now; a retry may succeed."""


CATEGORIES = (
    *(BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed, Unprocessable, TooManyRequests),
    Unavailable,
)


def all_refusals() -> Iterator[type[Refusal]]:
    """Yield every refusal that derives from a category and whose module is imported, by category."""
    for category in CATEGORIES:
        yield from subclasses(category)


def subclasses(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    """Yield the subclasses of a refusal at any depth."""
    for subclass in refusal.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
