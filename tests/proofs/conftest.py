"""Races, each run once for several tests, and contests."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, islice
from types import SimpleNamespace

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from accounts.models import User
from dev.race.launch import launch_race
from dev.race.plan import Plan
from dev.race.report import Report
from kernel import transactions
from tests.proofs.claim_steps import ClaimPath, Contest, MakeContests, Point, Recorded
from wallet.actions import issue_assets
from wallet.assets.models import CreditPool, PoolKind
from wallet.verification.claim_log import Attempt


@dataclass(frozen=True)
class Race:
    report: Report
    log: list[Attempt]


@pytest.fixture(scope="session")
def run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Callable[[Plan], Race]:
    """Run a race on the test server, in a database of its own."""

    def race(plan: Plan) -> Race:
        with django_db_blocker.unblock():
            try:
                return Race(*launch_race(plan))
            finally:
                connection.close()

    return race


@pytest.fixture
def make_contests(make_users: Callable[[int], list[User]], monkeypatch: pytest.MonkeyPatch) -> MakeContests:
    """Create contests for a path of a claim, each with a credit for each of its users and some to spare.

    Retries do not wait.
    """
    monkeypatch.setattr(transactions, "time", SimpleNamespace(sleep=lambda seconds: None))
    users, numbers = make_users(2), count()

    def make(path: ClaimPath, many: int, spare: int = 0) -> list[Contest]:
        fields = {"kind": PoolKind.SIGNUP, "currency": "INR", "per_user_limit": 1}
        pools = CreditPool.objects.bulk_create(CreditPool(name=f"Contest {n}", **fields) for n in islice(numbers, many))
        size = range(path.users + spare)
        credits_ = [
            [issue_assets.build_asset(None, title="One", total_value=Decimal(1), pool=pool) for _ in size] for pool in pools
        ]
        issue_assets.issue_assets([credit for of_pool in credits_ for credit in of_pool])
        return [Contest(pool, of_pool, users[: path.users]) for pool, of_pool in zip(pools, credits_, strict=True)]

    return make


@pytest.fixture
def recorded(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Recorded:
    """Record the number of points for the page of `make prove`, under the module's PROOF, and return them."""

    def record(found: list[tuple[Point, Contest]]) -> list[tuple[Point, Contest]]:
        record_property("proof", request.module.PROOF)
        record_property("count", len(found))
        return found

    return record


def scratch_databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'prove\\_%'")
        return [name for (name,) in cursor.fetchall()]
