"""The verdict on a fault's run: too few injections, unanswered requests, higher latency without Redis."""

from dataclasses import replace
from uuid import UUID

import pytest
from django.db import connection

from dev.chaos import mutants, postgres_faults, redis_faults, session_faults, slow_peers, soak
from dev.chaos.catalogue import FAULTS
from dev.chaos.experiment import Outcome, judge_run, unanswered_requests
from dev.race.fixture import RaceFixture
from wallet.verification.claim_log import Attempt

NOBODY = RaceFixture([], [], "", {})

ASKED = Attempt("client 1, request 0", "pool", "pool", str(UUID(int=1)), "key-1", 0.0, 0.1, "ok", 201, "201")


def green(log: list[Attempt]) -> Outcome:
    return Outcome(5, 5, 0, len(log), 0, [], log=log)


def requests(count: int, taken: float, since: float = 0.0) -> list[Attempt]:
    """Return requests, a hundred a second, that took so many seconds each."""
    starts = [since + number / 100 for number in range(count)]
    return [replace(ASKED, started=start, ended=start + taken) for start in starts]


@pytest.mark.django_db(transaction=True)
def test_a_fault_that_did_not_strike_often_enough_is_red() -> None:
    outcome = judge_run([], NOBODY, 19, 20)

    assert [str(violation) for violation in outcome.violations] == [
        "count: the fault was injected 19 times; at least 20 are required"
    ]
    assert judge_run([], NOBODY, 20, 20).violations == []


@pytest.mark.django_db(transaction=True)
def test_a_refusal_that_nobody_asked_for_is_red() -> None:
    refused = replace(ASKED, outcome="refused", status=422, code="idempotency_key_reused")

    (found,) = judge_run([refused], NOBODY, 1, 1).violations

    assert str(found) == "count: 1 requests were refused with idempotency_key_reused for no reason"


@pytest.mark.parametrize(("outcome", "code"), [("unknown", "ConnectionResetError"), ("refused", "busy")])
def test_a_request_that_nobody_answered_in_the_end_is_red(outcome: str, code: str) -> None:
    silent = replace(ASKED, outcome=outcome, code=code)  # type: ignore[arg-type]

    assert [violation.invariant for violation in unanswered_requests([ASKED, silent])] == ["I3"]
    assert unanswered_requests([silent, ASKED]) == []


def test_a_redis_whose_absence_is_felt_is_red() -> None:
    log = requests(1000, 0.1) + requests(1000, 0.3, since=10)

    outcome = redis_faults.compare_latency(green(log), [(0, 10)], {"killed": (10, 15), "full": (15, 20)})

    assert [violation.invariant for violation in outcome.violations] == ["time"]
    assert outcome.note == "p99 100 ms of 1,000 requests with Redis, 300 ms of 1,000 without (at most 300 ms: killed)"


def test_a_redis_whose_absence_is_hardly_felt_is_green() -> None:
    log = requests(1000, 0.1) + requests(1000, 0.24, since=10)

    assert redis_faults.compare_latency(green(log), [(0, 10)], {"killed": (10, 20)}).violations == []


def test_of_too_few_requests_nothing_is_said_and_the_note_says_so() -> None:
    log = requests(1000, 0.1) + requests(999, 0.9, since=10)

    outcome = redis_faults.compare_latency(green(log), [(0, 10)], {"killed": (10, 20)})

    assert (outcome.violations, outcome.note.endswith("; too few to judge")) == ([], True)


def test_slow_peers_that_cost_claims_are_red_when_there_are_enough_to_tell() -> None:
    def compared(calm: int, slow: int) -> Outcome:
        log = requests(calm, 0.0) + requests(slow, 0.0, since=100)
        return slow_peers.compare_claim_rates(green(log), [(0, 100)], [(100, 200)])

    assert [found.invariant for found in compared(2_000, 1_399).violations] == ["time"]
    assert compared(2_000, 1_400).violations == []
    assert compared(2_000, 1_400).note == "14 claims/s with 500 slow peers, 20 without: 0.70"
    assert (compared(2_000, 999).violations, compared(2_000, 999).note.endswith("(too few to judge)")) == ([], True)


def test_it_serves_again_when_a_claim_is_made_that_was_asked_for_afterwards() -> None:
    log = [ASKED, replace(ASKED, started=0.05, ended=2.0, status=503), replace(ASKED, started=1.0, ended=1.5)]

    assert postgres_faults.served_again(log, 0.01) == pytest.approx(1.49)
    assert postgres_faults.served_again(log, 3.0) == float("inf")


def test_a_mutant_that_is_caught_too_late_is_red() -> None:
    assert mutants.too_late("lock removed", 20.0) == []
    assert [str(found) for found in mutants.too_late("lock removed", 20.1)] == [
        "time: lock removed: caught after 20.1 s, the limit is 20 s"
    ]


def test_a_crowd_is_counted_where_most_of_it_asks_at_once() -> None:
    one, two, three = (replace(ASKED, started=start, ended=start + 1.5) for start in (0.0, 1.0, 2.0))

    assert session_faults.most_at_once([one, two, three]) == 2
    assert session_faults.most_at_once([]) == 0


def test_a_slow_answer_and_a_slow_recovery_are_red() -> None:
    slow = replace(ASKED, ended=session_faults.HANG_SECONDS + 0.1)

    assert session_faults.slow_answers([ASKED], session_faults.RECOVERY_SECONDS) == []
    assert [found.invariant for found in session_faults.slow_answers([slow], session_faults.RECOVERY_SECONDS + 0.1)] == [
        "time",
        "time",
    ]


def test_a_holder_lives_under_the_products_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the web's role, with what the settings say: nothing is added that would end it in the product's stead."""
    started: list[list[str]] = []

    def popen(command: list[str], **_: object) -> None:
        started.append(command)
        raise InterruptedError

    monkeypatch.setattr("dev.chaos.session_faults.subprocess.Popen", popen)
    with pytest.raises(InterruptedError), session_faults.hold_asset_row("asset"):
        pass

    (_, _, _, where, options, asset, busy) = started[0]
    assert "user=cashback_app" in where.split()
    assert options == connection.settings_dict["OPTIONS"]["options"]
    assert (asset, busy) == ("asset", "0.0")


def test_workers_that_grow_are_red_when_there_was_time_to_tell() -> None:
    assert [found.invariant for found in soak.grown_workers(100, 106, soak.MEASURED_SECONDS)] == ["memory"]
    assert soak.grown_workers(100, 104, soak.MEASURED_SECONDS) == []
    assert soak.grown_workers(100, 200, soak.MEASURED_SECONDS - 1) == []


def test_the_memory_of_a_long_run_is_judged() -> None:
    assert FAULTS["T24"].seconds(600) / 2 >= soak.MEASURED_SECONDS
