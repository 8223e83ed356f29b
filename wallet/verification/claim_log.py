"""What clients remember of a run: each thing they asked for and what they heard, so that it can be judged again later."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

Outcome = Literal["ok", "refused", "unknown"]
# Codes of answers that nobody should ever hear.
TRACEBACK = "a stack trace"
WITHOUT_WAIT = "503 without Retry-After"


@dataclass(frozen=True)
class Attempt:
    """One request and its answer, as its client knows them.

    `started` and `ended` are seconds since the epoch by the client's clock. `outcome` is unknown when the client cannot
    tell whether the claim was made. `code` is the refusal's, or what went wrong; `receipt` is the claim as it was told.
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
        """Return the id of the entry that the client was told of."""
        return UUID(self.receipt["id"]) if self.receipt else None


def write_log(path: Path, attempts: Iterable[Attempt]) -> None:
    """Write a log, one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(attempt)) + "\n" for attempt in attempts)


def read_log(path: Path) -> Iterator[Attempt]:
    """Yield the attempts of a log."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Attempt(**json.loads(line))
