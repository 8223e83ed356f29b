"""How a fault's run is judged: too few strikes, a request without an answer, a Redis whose absence is felt."""

from dataclasses import replace
from uuid import UUID

import pytest

from wallet.proofs.arena import Arena
from wallet.proofs.attempts import Attempt
from wallet.proofs.faults import cache, servers
from wallet.proofs.faults.scene import Outcome, judged, unanswered

NOBODY = Arena([], [], "", {})

ASKED = Attempt("client 1, request 0", "pool", "pool", str(UUID(int=1)), "key-1", 0.0, 0.1, "ok", 201, "201")


def green(log: list[Attempt]) -> Outcome:
    return Outcome(5, 5, 0, len(log), 0, [], log=log)


def requests(count: int, taken: float, since: float = 0.0) -> list[Attempt]:
    """Return requests, a hundred a second, that took so many seconds each."""
    starts = [since + number / 100 for number in range(count)]
    return [replace(ASKED, started=start, ended=start + taken) for start in starts]


@pytest.mark.django_db(transaction=True)
def test_a_fault_that_did_not_strike_often_enough_is_red() -> None:
    outcome = judged([], NOBODY, 19, 20)

    assert [str(violation) for violation in outcome.violations] == [
        "count: it struck 19 times, 20 were wanted: nothing was shown"
    ]
    assert judged([], NOBODY, 20, 20).violations == []


@pytest.mark.django_db(transaction=True)
def test_a_refusal_that_nobody_asked_for_is_red() -> None:
    refused = replace(ASKED, outcome="refused", status=422, code="idempotency_key_reused")

    (found,) = judged([refused], NOBODY, 1, 1).violations

    assert str(found) == "count: 1 requests were refused for idempotency_key_reused, which nobody asked for"


@pytest.mark.parametrize(("outcome", "code"), [("unknown", "ConnectionResetError"), ("refused", "busy")])
def test_a_request_that_nobody_answered_in_the_end_is_red(outcome: str, code: str) -> None:
    silent = replace(ASKED, outcome=outcome, code=code)  # type: ignore[arg-type]

    assert [violation.invariant for violation in unanswered([ASKED, silent])] == ["I3"]
    assert unanswered([silent, ASKED]) == []


def test_a_redis_whose_absence_is_felt_is_red() -> None:
    log = requests(1000, 0.1) + requests(1000, 0.3, since=10)

    outcome = cache.compared(green(log), [(0, 10)], {"killed": (10, 15), "full": (15, 20)})

    assert [violation.invariant for violation in outcome.violations] == ["time"]
    assert outcome.note == "p99 100 ms of 1,000 requests with Redis, 300 ms of 1,000 without (at most 300 ms: killed)"


def test_a_redis_whose_absence_is_hardly_felt_is_green() -> None:
    log = requests(1000, 0.1) + requests(1000, 0.24, since=10)

    assert cache.compared(green(log), [(0, 10)], {"killed": (10, 20)}).violations == []


def test_of_too_few_requests_nothing_is_said_and_the_note_says_so() -> None:
    log = requests(1000, 0.1) + requests(999, 0.9, since=10)

    outcome = cache.compared(green(log), [(0, 10)], {"killed": (10, 20)})

    assert (outcome.violations, outcome.note.endswith("; too few to judge")) == ([], True)


def test_it_serves_again_when_a_claim_is_made_that_was_asked_for_afterwards() -> None:
    log = [ASKED, replace(ASKED, started=0.05, ended=2.0, status=503), replace(ASKED, started=1.0, ended=1.5)]

    assert servers.served_again(log, 0.01) == pytest.approx(1.49)
    assert servers.served_again(log, 3.0) == float("inf")
