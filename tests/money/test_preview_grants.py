"""The preview of a bulk grant says what the grant then does, wherever its credits come from."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from tests.actions.test_scheduled import let_a_day_pass
from wallet.actions.grant_batch import grant_many
from wallet.actions.grant_lines import GrantLine
from wallet.actions.issue_assets import issue_many
from wallet.actions.preview_grants import preview_grants
from wallet.assets.models import CreditPool
from wallet.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)
OpenPool = Callable[..., CreditPool]
ROUNDS = [[GrantLine("alice@example.com", f"{part}-{number}") for number in range(4)] for part in "ab"]


@pytest.fixture
def listed(open_pool: OpenPool) -> CreditPool:
    """A pool with six credits."""
    pool = open_pool()
    issue_many(None, pool, count=6, title="Gift", total_value=Decimal(100))
    return pool


@pytest.fixture
def on_demand(open_pool: OpenPool) -> CreditPool:
    """A pool whose budget is for six credits."""
    return open_pool(budget=Decimal(600), credit_title="Gift", credit_value=Decimal(100))


@pytest.fixture
def scheduled(open_pool: OpenPool) -> CreditPool:
    """A pool with six credits, of which three wait to be opened, and one that starts tomorrow."""
    pool = open_pool()
    issue_many(None, pool, count=7, per_day=3, title="Daily", total_value=Decimal(100))
    let_a_day_pass(pool)
    return pool


@pytest.mark.parametrize("source", ["listed", "on_demand", "scheduled"])
def test_the_grant_does_what_the_preview_says(source: str, alice: User, request: pytest.FixtureRequest) -> None:
    pool = request.getfixturevalue(source)
    for lines, granted in zip(ROUNDS, (4, 2), strict=True):
        entries = Entry.objects.count()
        preview = preview_grants(pool.pk, lines, reason="gift")
        assert Entry.objects.count() == entries

        report = grant_many(pool.pk, lines, reason="gift").body

        assert preview["granted"] == report["granted"] == granted
        assert outcomes(preview) == outcomes(report)
        assert {line["claim"] for line in preview["lines"]} == {None}


def outcomes(report: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(line[name] for name in ("user", "reference", "outcome", "code")) for line in report["lines"]]
