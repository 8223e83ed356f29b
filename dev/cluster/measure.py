"""What one fault did, from the clients' logs of its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wallet.verification.claim_log import Attempt
from wallet.verification.payment_log import PaymentAttempt

BUSY = 503
SERVER_ERROR = 500
AnyAttempt = Attempt | PaymentAttempt


@dataclass(frozen=True)
class Measured:
    """One line of the report.

    Arguments:
        outage: the longest time between two successful answers, in seconds.
        bound: how long it may be; None where nothing is promised.
        claims, payments: acknowledged requests during the fault.
        lost: acknowledged requests that are not in the ledger.
        doubled: keys, orders or credits with two outcomes.
        errors: answers of 5xx other than 503.
        busy: answers of 503.
        unanswered: requests without an answer, which were sent again.
    """

    name: str
    what: str
    outage: float
    bound: float | None
    claims: int
    payments: int
    lost: int
    doubled: int
    errors: int
    busy: int
    unanswered: int

    @property
    def is_green(self) -> bool:
        """Whether people claimed and paid, nothing was lost, doubled or an error, and the outage was within its bound."""
        was_tried = self.claims > 0 and self.payments > 0
        in_time = self.bound is None or self.outage <= self.bound
        return was_tried and in_time and not (self.lost or self.doubled or self.errors)


def longest_gap(attempts: Sequence[AnyAttempt], begun: float, ended: float) -> float:
    """Return the longest time without a successful answer between two times, in seconds."""
    moments = sorted(attempt.ended for attempt in attempts if attempt.outcome == "ok" and begun <= attempt.ended <= ended)
    edges = [begun, *moments, ended]
    return max(later - earlier for earlier, later in pairwise(edges))


def within(attempts: Sequence[AnyAttempt], begun: float, ended: float) -> list[AnyAttempt]:
    """Return the attempts that were answered, or given up, between two times."""
    return [attempt for attempt in attempts if begun <= attempt.ended <= ended]


def acknowledged(attempts: Sequence[AnyAttempt]) -> int:
    """Return how many requests were answered with what was done, each once."""
    done = {(attempt.user, attempt.key or getattr(attempt, "target", "")) for attempt in attempts if attempt.outcome == "ok"}
    return len(done)


def count_status(attempts: Sequence[AnyAttempt], *, busy: bool) -> int:
    """Return the number of 503, or of other 5xx."""
    return sum((attempt.status or 0) >= SERVER_ERROR and (attempt.status == BUSY) == busy for attempt in attempts)


def count_unanswered(attempts: Sequence[AnyAttempt]) -> int:
    """Return the number of requests without any answer."""
    return sum(attempt.status is None and attempt.outcome == "unknown" for attempt in attempts)
