"""Small races: green with the lock, red without it, and nothing is left behind."""

from collections.abc import Callable

import pytest

from dev.chaos.session_faults import most_at_once
from dev.race import mutant
from dev.race.plan import Plan, default_plan
from tests.proofs.conftest import Race, scratch_databases
from wallet.assets.models import CashbackAsset

pytestmark = pytest.mark.xdist_group("races")
Run = Callable[[Plan], Race]


@pytest.fixture(scope="session")
def with_lock(run: Run) -> Race:
    return run(default_plan(40, 3, 40, seed=1))


@pytest.fixture(scope="session")
def over_http(run: Run) -> Race:
    return run(default_plan(40, 3, 40, seed=1, http=True))


@pytest.fixture(scope="session")
def without_lock(run: Run) -> Race:
    return run(default_plan(40, 3, 40, seed=1, without_lock=True))


@pytest.fixture(params=["with_lock", "over_http"])
def green(request: pytest.FixtureRequest) -> Race:
    race: Race = request.getfixturevalue(request.param)
    return race


def test_a_race_breaks_no_promise(green: Race) -> None:
    assert green.report.violations == []
    assert green.report.unknown == {}


def test_each_credit_has_one_winner_and_the_pool_is_drained_to_the_last(green: Race) -> None:
    assert (green.report.winners, green.report.drained) == (3, 80)
    assert green.report.refusals["asset_already_claimed"] == 3 * 39


def test_the_limit_of_the_pool_holds_for_each_user(green: Race) -> None:
    held = [{a.entry for a in green.log if a.user == user and a.kind == "pool" and a.outcome == "ok"} for user in users(green)]

    assert [len(entries) for entries in held] == [2] * 40


def test_repeated_requests_get_their_first_answer(green: Race) -> None:
    told: dict[tuple[str, str | None], list[object]] = {}
    for attempt in green.log:
        if attempt.kind == "pool" and attempt.outcome == "ok":
            told.setdefault((attempt.user, attempt.key), []).append(attempt.receipt)
    repeated = [answers for answers in told.values() if len(answers) > 1]

    assert repeated
    assert all(answer == answers[0] for answers in repeated for answer in answers)


def test_clients_really_ask_at_the_same_time(green: Race) -> None:
    first = [attempt for attempt in green.log if attempt.target == green.log[0].target]

    assert max(attempt.started for attempt in first) < max(attempt.ended for attempt in first)
    assert most_at_once(first) >= 5


def test_without_the_lock_the_checker_sees_the_doubles(without_lock: Race) -> None:
    broken = {violation.invariant for violation in without_lock.report.violations}

    assert {"I1", "I4", "I5"} <= broken
    assert without_lock.report.winners < 3


def test_nothing_is_left_of_a_race(green: Race, without_lock: Race, db: None) -> None:
    assert scratch_databases() == []
    assert CashbackAsset.objects.count() == 0


def test_the_guards_are_never_removed_from_a_real_database(db: None) -> None:
    with pytest.raises(RuntimeError, match="is not a scratch database"):
        mutant.remove_guards()


def users(race: Race) -> list[str]:
    return sorted({attempt.user for attempt in race.log})
