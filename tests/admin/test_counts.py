"""No list of the console counts a large table, and no total of all credits does."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.admin import base
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.queries import ownership, supply

OWNERSHIP, CREDITS = (reverse(f"admin:{name}_changelist") for name in ("ledger_claimedasset", "assets_cashbackasset"))
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.mark.parametrize(("rows", "said"), [(3, "3 lines"), (4, "4 lines"), (5, "4+ lines"), (9, "4+ lines")])
def test_beyond_what_is_counted_a_list_says_so(
    console: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch, rows: int, said: str
) -> None:
    monkeypatch.setattr(base, "MOST_COUNTED", 4)
    monkeypatch.setattr(base.OperatorAdmin, "list_per_page", 2)
    for _ in range(rows):
        issue()

    answer = console.get(CREDITS)

    assert said in answer.content.decode()
    assert answer.context["cl"].paginator.num_pages == 2


@pytest.fixture
def states(open_pool: OpenPool, issue: Issue, alice: User, ada: User) -> CreditPool:
    """A pool with credits in each state, and others beside it."""
    pool = open_pool()
    for number in range(4):
        issue(pool=pool, title=f"{number}")
    issue(currency="JPY", total_value=500)
    claim_asset(issue(pool=pool).pk, alice)
    edit_asset.expire_asset(issue(pool=pool).pk, ada)
    edit_asset.delete_asset(issue(pool=pool).pk, ada)
    due = CashbackAsset(title="due", total_value=7, currency="INR", pool=pool, expires_at=timezone.now() - timedelta(hours=1))
    CashbackAsset.objects.insert_all([due])
    return pool


@pytest.mark.parametrize(
    "query", [{}, {"pool": "its"}, {"status": "EXPIRED"}, {"currency": "JPY"}, {"pool": "x", "status": "y"}]
)
def test_totals_are_told_without_counting_and_are_those_that_are_counted(
    console: Client, states: CreditPool, query: dict[str, str]
) -> None:
    query = {name: str(states.pk) if value == "its" else value for name, value in query.items()}
    with CaptureQueriesContext(connection) as sent:
        answer = console.get(OWNERSHIP, query)

    counted = ownership.ownership_totals(answer.context["cl"].queryset)
    assert [int(line["count"]) for line in answer.context["totals"]] == [line["count"] for line in counted]
    assert [line["current_status"] for line in answer.context["totals"]] == [line["current_status"] for line in counted]
    assert not [each for each in sent if "GROUP BY" in each["sql"] and "assets_supplydelta" not in each["sql"]]


def test_totals_of_the_supply_are_written_like_those_that_are_counted(states: CreditPool) -> None:
    for wanted in (Q(), Q(pool=states), Q(currency="INR")):
        assert supply.supply_totals(wanted) == ownership.ownership_totals(ownership.ownership_rows().filter(wanted))
