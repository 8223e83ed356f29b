"""Another transaction commits at every point of a claim: the first one wins, the other is refused with a reason."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from tests.proofs.claim_steps import (
    CLAIM_PATHS,
    ClaimPath,
    Contest,
    MakeContests,
    Recorded,
    at,
    claim_points,
    outcome_code,
    outcome_of,
)
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry
from wallet.verification.checker import verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
EXPIRED = "UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s"
HIDDEN = "UPDATE assets_creditpool SET is_active = false WHERE id = %s"
CLOSED = "UPDATE assets_creditpool SET opens_at = now() - interval '1 day', closes_at = now() WHERE id = %s"
Rival = Callable[[ClaimPath, ClaimRequest], str]
PROOF = "P3"
claim_paths = pytest.mark.parametrize("path", CLAIM_PATHS.values(), ids=CLAIM_PATHS)


@pytest.fixture
def rival() -> Iterator[Rival]:
    """A concurrent claim, made individually and with a short lock timeout, in its own thread and connection."""

    def connect() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '20ms'")

    def close() -> None:
        connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(connect).result()
        yield lambda path, request: outcome_code(thread.submit(outcome_of, lambda: path.batcher.run_one(request)).result())
        thread.submit(close).result()


def compete(elsewhere: psycopg.Connection[Any], sql: str, *values: Any) -> str:
    """Run SQL on another connection with a short lock timeout; return its result."""
    try:
        elsewhere.execute("SET LOCAL lock_timeout = '20ms'")
        elsewhere.execute(sql, values)
        elsewhere.commit()
    except psycopg.errors.LockNotAvailable:
        elsewhere.rollback()
        return "lock timeout"
    except psycopg.errors.CheckViolation:
        elsewhere.rollback()
        return "refused"
    return "done"


def entries(contest: Contest) -> int:
    return Entry.objects.filter(asset__pool=contest.pool).count()


@claim_paths
def test_an_expiry_wins_before_the_lock_waits_behind_it_and_is_refused_after_the_commit(
    path: ClaimPath, make_contests: MakeContests, elsewhere: psycopg.Connection[Any], recorded: Recorded
) -> None:
    for point, contest in recorded(claim_points(path, make_contests)):
        with at(point, partial(compete, elsewhere, EXPIRED, contest.credits[0].pk)) as results:
            outcomes = path.claim_codes(contest)

        first = "refused" if point.is_past("commit") else "lock timeout" if point.is_past("lock") else "done"
        last = "201" if point.is_past("lock") else path.expired_code
        assert (results, outcomes) == ([first], ["201"] * (path.users - 1) + [last]), str(point)
        assert entries(contest) == outcomes.count("201"), str(point)
    assert verify_everything(connection) == []


@claim_paths
def test_another_claim_wins_before_the_lock_and_is_refused_after_it(
    path: ClaimPath, make_contests: MakeContests, bob: User, rival: Rival, recorded: Recorded
) -> None:
    for point, contest in recorded(claim_points(path, make_contests)):
        with at(point, partial(rival, path, path.request(contest, bob))) as results:
            outcomes = path.claim_codes(contest)

        first = path.taken_code if point.is_past("commit") else "busy" if point.is_past("lock") else "201"
        last = "201" if point.is_past("lock") else path.taken_code
        assert (results, outcomes) == ([first], ["201"] * (path.users - 1) + [last]), str(point)
        assert CashbackAsset.objects.filter(pool=contest.pool, claimed_by=bob).count() == results.count("201"), str(point)
        assert entries(contest) == path.users, str(point)
    assert verify_everything(connection) == []


@claim_paths
def test_two_claims_of_one_user_at_once_are_one_where_the_limit_is_one(
    path: ClaimPath, make_contests: MakeContests, rival: Rival, recorded: Recorded
) -> None:
    for point, contest in recorded(claim_points(path, make_contests, spare=1)):
        other = path.request(contest, contest.users[0], "another-key", credit=-1)
        with at(point, partial(rival, path, other)) as results:
            outcomes = path.claim_codes(contest)

        began, over = point.is_past(path.user_lock_step), point.is_past("commit")
        first = "claim_limit_reached" if over else "busy" if began else "201"
        assert (results, outcomes[0]) == ([first], "201" if began else "claim_limit_reached"), str(point)
        assert outcomes[1:] == ["201"] * (path.users - 1), str(point)
        assert entries(contest) == path.users, str(point)
    assert verify_everything(connection) == []


@claim_paths
def test_the_same_request_sent_twice_at_once_is_one_claim(
    path: ClaimPath, make_contests: MakeContests, rival: Rival, recorded: Recorded
) -> None:
    for point, contest in recorded(claim_points(path, make_contests)):
        again = path.request(contest, contest.users[0])
        with at(point, partial(rival, path, again)) as results:
            outcomes = path.claim_codes(contest)

        waits = point.is_past("key") and not point.is_past("commit")
        assert (results, outcomes) == (["request_in_progress" if waits else "201"], ["201"] * path.users), str(point)
        assert entries(contest) == path.users, str(point)
    assert verify_everything(connection) == []


@claim_paths
@pytest.mark.parametrize(("change", "refusal"), [(CLOSED, "pool_closed"), (HIDDEN, "not_found")])
def test_a_closed_pool_refuses_claims_until_they_are_recorded(
    *,
    path: ClaimPath,
    make_contests: MakeContests,
    elsewhere: psycopg.Connection[Any],
    recorded: Recorded,
    change: str,
    refusal: str,
) -> None:
    for point, contest in recorded(claim_points(path, make_contests)):
        with at(point, partial(compete, elsewhere, change, contest.pool.pk)) as results:
            outcomes = path.claim_codes(contest)

        expected = "201" if point.is_past("record") else refusal
        assert (results, outcomes) == (["done"], [expected] * path.users), str(point)
        assert entries(contest) == outcomes.count("201"), str(point)
    assert verify_everything(connection) == []
