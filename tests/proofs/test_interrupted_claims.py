"""A claim is interrupted at every point: the ledger has all of it or nothing, and a retry of the request is one claim."""

import os
import select
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from kernel.refusals import Refusal
from tests.proofs.claim_steps import CLAIM_PATHS, ClaimPath, Contest, MakeContests, Point, Recorded, at, claim_points
from wallet.actions.claim_batch import Claim
from wallet.ledger.models import Entry
from wallet.verification.checker import verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
PROOF = "P4"
claim_paths = pytest.mark.parametrize("path", CLAIM_PATHS.values(), ids=CLAIM_PATHS)
Held = Callable[[Contest], tuple[int, int]]
NOTICED_SECONDS = 10
HELD = """
    SELECT (SELECT count(*) FROM ledger_entry WHERE asset_id = ANY(%s)),
        (SELECT count(*) FROM ledger_idempotencykey WHERE key LIKE ANY(%s))
"""


class UnexpectedError(Exception):
    """A bug of ours."""


def raising() -> None:
    raise UnexpectedError


def exiting() -> None:
    raise SystemExit(1)


def losing() -> None:
    raise OperationalError("the connection is lost")


def idling() -> None:
    """Wait until PostgreSQL has terminated the session, as it does after a long time idle in a transaction."""
    session = connection.connection.pgconn
    session.exec_(b"SET idle_in_transaction_session_timeout = 1; SET idle_session_timeout = 1")
    assert select.select([session.socket], [], [], NOTICED_SECONDS)[0]


@pytest.fixture
def held(elsewhere: psycopg.Connection[Any]) -> Callable[[Contest], tuple[int, int]]:
    """Count the entries and keys of a contest that other sessions see."""
    elsewhere.autocommit = True

    def count(contest: Contest) -> tuple[int, int]:
        targets = [contest.pool.pk, *(credit.pk for credit in contest.credits)]
        entries, keys = elsewhere.execute(HELD, [targets, [f"%{target}" for target in targets]]).fetchone() or (-1, -1)
        return entries, keys

    return count


def try_claim(path: ClaimPath, contest: Contest) -> list[Claim | Refusal] | None:
    """Claim once; return None when the claim raised or exited."""
    try:
        return path.claim(contest)
    except (UnexpectedError, SystemExit):
        return None


def entry_ids(outcomes: list[Claim | Refusal]) -> list[str]:
    return [claim.receipt["id"] for claim in outcomes if isinstance(claim, Claim)]


def possible_points(how: Callable[[], Any], points: list[tuple[Point, Contest]]) -> list[tuple[Point, Contest]]:
    """Leave out the commit for interruptions by our own code, which does not run within a commit."""
    return [(point, contest) for point, contest in points if how in (losing, idling) or point.step != "commit"]


def is_answered(path: ClaimPath, how: Callable[[], Any]) -> bool:
    """Return whether the product retries by itself, so that the first request succeeds.

    A failed batch is retried individually, and a lost session is retried. There is no retry after the end of the process, nor
    of an individual claim after an unexpected error.
    """
    return how is not exiting and not (path.individually and how is raising)


@claim_paths
@pytest.mark.parametrize("how", [raising, exiting, losing, idling])
def test_an_interrupted_claim_is_recorded_whole_or_not_at_all_and_its_retry_is_one_claim(
    how: Callable[[], None], path: ClaimPath, make_contests: MakeContests, held: Held, recorded: Recorded
) -> None:
    for point, contest in recorded(possible_points(how, claim_points(path, make_contests))):
        with at(point, how):
            first = try_claim(path, contest)
        left = held(contest)
        second = path.claim(contest)

        expected = path.users if is_answered(path, how) or point.is_past("commit") else 0
        assert (first is not None, left) == (is_answered(path, how), (expected, expected)), str(point)
        assert_one_each(point, contest, second)
        assert all(claim.replayed == bool(expected) for claim in second if isinstance(claim, Claim)), str(point)
        assert first is None or entry_ids(first) == entry_ids(second), str(point)
    assert verify_everything(connection) == []


def assert_one_each(point: Point, contest: Contest, outcomes: list[Claim | Refusal]) -> None:
    """Assert that each user has one credit, with the receipt of its entry."""
    entries = Entry.objects.filter(asset__pool=contest.pool).values_list("id", "user")
    users = [user.pk for user in contest.users]
    assert sorted(entry_ids(outcomes)) == sorted(str(entry) for entry, _ in entries), str(point)
    assert sorted(user for _, user in entries) == sorted(users), str(point)


@claim_paths
def test_a_connection_lost_at_each_retry_is_busy_without_a_claim_and_a_later_retry_is_one_claim(
    path: ClaimPath, make_contests: MakeContests, held: Held, recorded: Recorded
) -> None:
    ((_, contest),) = recorded(claim_points(path, make_contests)[:1])
    with connection.execute_wrapper(lambda *_: losing()):
        first = path.claim_codes(contest)

    assert (first, held(contest)) == (["busy"] * path.users, (0, 0))
    assert path.claim_codes(contest) == ["201"] * path.users
    assert verify_everything(connection) == []


def status_of_a_child(work: Callable[[], Any]) -> int:
    """Run the work in a child process with its own connection, and return the exit status."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    "path", [CLAIM_PATHS["a credit, individually"], CLAIM_PATHS["from a pool, in a batch"]], ids=["individually", "in a batch"]
)
def test_a_claim_whose_process_exits_is_recorded_whole_or_not_at_all_and_its_retry_is_one_claim(
    path: ClaimPath, make_contests: MakeContests, held: Held, recorded: Recorded
) -> None:
    for point, contest in recorded(claim_points(path, make_contests)):

        def work(point: Point = point, contest: Contest = contest) -> None:
            with at(point, lambda: os._exit(9)):
                path.claim(contest)

        assert status_of_a_child(work) == 9, str(point)
        expected = path.users if point.is_past("commit") else 0
        assert held(contest) == (expected, expected), str(point)
        second = path.claim(contest)

        assert_one_each(point, contest, second)
        assert all(claim.replayed == bool(expected) for claim in second if isinstance(claim, Claim)), str(point)
    assert verify_everything(connection) == []
