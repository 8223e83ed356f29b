"""Concurrent claims over HTTP: 200 users at one credit, twenty times, and a pool of 1,000 claimed by 50 users."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest

from dev.race.plan import Plan
from tests.proofs.conftest import Race

# django_db: without a test that uses the database pytest-django creates none, and `run` would set up the development database.
pytestmark = [pytest.mark.xdist_group("races"), pytest.mark.django_db]
Record = Callable[..., None]


@pytest.fixture(scope="session")
def stampede(run: Callable[[Plan], Race]) -> Race:
    return run(Plan(users=200, credits=20, pool=1000, limit=None, tries=40, drainers=50, connections=200, seed=2026, http=True))


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Record the proof that a test belongs to, its count and its claims, for the page of `make prove`."""

    def record_proof(proof: str, count: int = 0, claims: int = 0) -> None:
        for name, value in {"proof": proof, "count": count, "claims": claims}.items():
            record_property(name, value)

    return record_proof


def test_of_two_hundred_requests_for_one_credit_one_is_answered_201_and_the_others_409(stampede: Race, record: Record) -> None:
    record("T1", 20, stampede.report.winners)
    answers: dict[str, Counter[int | None]] = {}
    for attempt in stampede.log:
        if attempt.kind == "asset":
            answers.setdefault(attempt.target, Counter())[attempt.status] += 1

    assert list(answers.values()) == [{201: 1, 409: 199}] * 20


def test_fifty_clients_drain_a_pool_of_a_thousand_to_the_last_credit(stampede: Race, record: Record) -> None:
    record("T2", 1, stampede.report.drained)
    claimed = {attempt.entry for attempt in stampede.log if attempt.kind == "pool" and attempt.outcome == "ok"}

    assert len(claimed) == stampede.report.drained == 1000


def test_sold_out_is_not_answered_while_credits_are_left(stampede: Race, record: Record) -> None:
    record("T2")
    asked = [attempt for attempt in stampede.log if attempt.kind == "pool"]
    # By PostgreSQL's clock: a replayed response arrives long after its claim was decided.
    last = max(datetime.fromisoformat(attempt.receipt["claimed_at"]).timestamp() for attempt in asked if attempt.receipt)
    sold_out = [attempt for attempt in asked if attempt.code == "pool_sold_out"]

    assert sold_out
    assert [attempt for attempt in sold_out if attempt.ended < last] == []


def test_nothing_is_answered_with_an_error(stampede: Race, record: Record) -> None:
    record("T2")
    assert {attempt.status for attempt in stampede.log} <= {200, 201, 409, 503}
    assert stampede.report.violations == []
