"""The clients' log of a run: each request and its response, as JSON lines, which the checker compares with the ledger."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Outcome = Literal["ok", "refused", "unknown"]
# Codes for responses that must never occur.
TRACEBACK = "a stack trace"
WITHOUT_WAIT = "503 without Retry-After"


@dataclass(frozen=True)
class Attempt:
    """One request and its response, as seen by the client.

    `started` and `ended` are seconds since the epoch by the client's clock. `outcome` is unknown when the client
    cannot know whether the claim was made. `code` is the code of the refusal or an error; `receipt` is the acknowledged claim.
    """

    id: str
    kind: Literal["asset", "pool"]
    target: str
    user: str
    key: str | None
    started: float
    ended: float
    outcome: Outcome
    status: int | None
    code: str
    receipt: dict[str, Any] | None = None

    @property
    def entry(self) -> UUID | None:
        """Return the id of the acknowledged entry, or None."""
        return UUID(self.receipt["id"]) if self.receipt else None


def write_log(path: Path, attempts: Iterable["DataclassInstance"]) -> None:
    """Write a log of attempts, which are dataclasses, one JSON object per line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(attempt)) + "\n" for attempt in attempts)


def read_log(path: Path) -> Iterator[Attempt]:
    """Yield the attempts of a log."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Attempt(**json.loads(line))
