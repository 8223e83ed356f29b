"""Bounded counts of long lists, and totals from the supply counters."""

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


@pytest.mark.parametrize(("rows", "text"), [(3, "3 results"), (4, "4 results"), (5, "4+ results"), (9, "4+ results")])
def test_list_above_the_count_limit_shows_a_plus_sign(
    console: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch, rows: int, text: str
) -> None:
    monkeypatch.setattr(base, "MAX_COUNTED", 4)
    monkeypatch.setattr(base.OperatorAdmin, "list_per_page", 2)
    for _ in range(rows):
        issue()

    answer = console.get(CREDITS)

    assert text in answer.content.decode()
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


@pytest.mark.parametrize("query", [{}, {"pool": "its"}, {"status": "EXPIRED"}, {"currency": "JPY"}])
def test_totals_come_from_the_supply_counters_and_equal_a_full_count(
    console: Client, states: CreditPool, query: dict[str, str]
) -> None:
    query = {name: str(states.pk) if value == "its" else value for name, value in query.items()}
    with CaptureQueriesContext(connection) as captured:
        answer = console.get(OWNERSHIP, query)

    counted = ownership.ownership_totals(answer.context["cl"].queryset)
    assert [int(line["count"]) for line in answer.context["totals"]] == [line["count"] for line in counted]
    assert [line["current_status"] for line in answer.context["totals"]] == [line["current_status"] for line in counted]
    assert not [
        executed for executed in captured if "GROUP BY" in executed["sql"] and "assets_supplydelta" not in executed["sql"]
    ]


def test_supply_totals_have_the_format_of_counted_totals(states: CreditPool) -> None:
    for wanted in (Q(), Q(pool=states), Q(currency="INR")):
        assert supply.supply_totals(wanted) == ownership.ownership_totals(ownership.ownership_rows().filter(wanted))
