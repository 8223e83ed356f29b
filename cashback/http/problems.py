"""Problems as RFC 9457 defines them: what one answer says, and the kinds of problem that /problems/ documents.

Nothing here needs Django's settings: the web server uses it for requests that Django never sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from kernel.request_id import current_request_id

PROBLEM_JSON = "application/problem+json"
RETRYABLE_STATUSES = (408, 429, 503)


def problem_type(code: str) -> str:
    """Return the `type` of the problems with this code: the address of its page of documentation, as a URI reference."""
    return f"/problems/{code}/"


@dataclass(frozen=True)
class Problem:
    """One problem: HTTP status, stable code, a sentence for the user, and the errors of single fields.

    `retry_after` is in seconds, or None. `members` are extension members of this code.
    """

    status: int
    code: str
    detail: str
    fields: tuple[dict[str, str], ...] = ()
    retry_after: int | None = None
    members: Mapping[str, Any] = field(default_factory=dict)

    def body(self, path: str | None = None) -> dict[str, Any]:
        """Return the members of RFC 9457, plus `code`, `request_id` within a request and, for fields, `errors`.

        `path` is the path of the request.
        """
        members = {
            "type": problem_type(self.code),
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        request_id = current_request_id.get()
        more = {"instance": path, "request_id": request_id, "errors": list(self.fields)}
        return {**members, **self.members, **{name: value for name, value in more.items() if value}}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the status requires."""
        wait = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return wait | ({"WWW-Authenticate": 'Bearer realm="api"'} if self.status == 401 else {})


@dataclass(frozen=True)
class ProblemKind:
    """A kind of problem, as its page documents it: what it means, and what to do (`detail`)."""

    status: int
    code: str
    meaning: str
    detail: str
    retry_after: int | None = None

    @property
    def title(self) -> str:
        """The standard phrase of the HTTP status."""
        return HTTPStatus(self.status).phrase

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed when it is sent again later."""
        return self.status in RETRYABLE_STATUSES or self.retry_after is not None

    def problem(self, detail: str | None = None) -> Problem:
        """Return a problem of this kind, with a more specific sentence if one is given."""
        return Problem(self.status, self.code, detail or self.detail, retry_after=self.retry_after)
