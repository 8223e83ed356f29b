"""The dashboard: figures and charts by period and pool."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from kernel import refusal_counts
from wallet.actions import edit_asset, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

INDEX = reverse("admin:index")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def supply(ada: User, alice: User, open_pool: OpenPool, issue: Issue) -> CreditPool:
    """Diwali issued six of 100 rupees: three on offer, two claimed, one expired, recreated and deleted; a dollar is loose."""
    pool = open_pool(name="Diwali")
    made = [issue(pool=pool, expires_at=timezone.now() + timedelta(days=3)) for _ in range(5)]
    for asset in made[:2]:
        claim_asset(asset.pk, alice)
    edit_asset.expire_asset(made[2].pk, ada)
    child = recreate_asset.recreate_asset(made[2].pk, ada)
    edit_asset.delete_asset(child.pk, ada)
    issue(pool=pool)
    issue(currency="USD", total_value=Decimal(1))
    return pool


def dashboard_context(browser: Client, query: dict[str, str] | None = None) -> Any:
    return browser.get(INDEX, query or {}).context


def figures(panel: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {figure["title"]: (figure["value"], figure["count"]) for figure in [*panel["moved"], *panel["now"]]}


def test_figures_of_the_period_and_current_totals(console: Client, supply: CreditPool) -> None:
    rupees, dollars = dashboard_context(console)["panels"]

    assert figures(rupees) == {
        "Issued": ("700.00", 7),
        "Claimed": ("200.00", 2),
        "Expired": ("100.00", 1),
        "Deleted": ("100.00", 1),
        "Available": ("300.00", 3),
        "Claimed in total": ("200.00", 2),
        "Expired unclaimed": ("100.00", 1),
    }
    assert figures(dollars)["Issued"] == ("1.00", 1)


def test_past_period_has_no_flows_of_today(console: Client, supply: CreditPool) -> None:
    rupees = dashboard_context(console, {"since": "2020-01-01", "until": "2020-01-31"})["panels"][0]

    assert [figure["count"] for figure in rupees["moved"]] == [0, 0, 0, 0]
    assert [figure["count"] for figure in rupees["now"]] == [3, 2, 1]


def test_figures_are_filtered_by_pool(console: Client, supply: CreditPool, open_pool: OpenPool) -> None:
    mine = dashboard_context(console, {"pool": str(supply.pk)})
    other = dashboard_context(console, {"pool": str(open_pool(name="Empty").pk)})

    assert [panel["currency"] for panel in mine["panels"]] == ["INR"]
    assert (mine["claims"].total, mine["expiring"].total) == (2, 2)
    assert (other["panels"], other["claims"].total, other["reconciliation"]["groups"]) == ([], 0, [])


def test_due_credit_counts_as_expired_before_any_sweep(console: Client, issue: Issue) -> None:
    CashbackAsset.objects.bulk_create(
        [CashbackAsset(title="x", total_value=1, currency="INR", expires_at=timezone.now() - timedelta(hours=1))]
    )

    rupees = figures(dashboard_context(console)["panels"][0])

    assert (rupees["Expired"], rupees["Available"], rupees["Expired unclaimed"]) == (("1.00", 1), ("0.00", 0), ("1.00", 1))


def test_claims_are_charted_per_hour_and_for_long_periods_per_day(console: Client, supply: CreditPool) -> None:
    week, quarter = dashboard_context(console)["claims"], dashboard_context(console, {"period": "90d"})["claims"]

    assert (len(week.bars), week.bars[-1].number, week.total) == (169, 2, 2)
    assert (len(quarter.bars), quarter.bars[-1].number, quarter.total) == (91, 2, 2)


def test_busiest_pools_and_expiring_credits_are_charted(console: Client, supply: CreditPool) -> None:
    context = dashboard_context(console)

    assert [(bar.label, bar.number, bar.note) for bar in context["busiest"].bars] == [("Diwali", 2, "200.00 INR")]
    assert [(bar.number, bar.note) for bar in context["expiring"].bars if bar.number] == [(2, "200.00 INR")]


def test_each_generation_of_a_pool_is_reconciled_with_the_issue_log(console: Client, supply: CreditPool) -> None:
    reconciliation = dashboard_context(console)["reconciliation"]

    diwali, loose = reconciliation["groups"]
    assert [(line["generation"], line["issued"], line["counts"]) for line in diwali["lines"]] == [
        (1, 6, [0, 3, 2, 1, 0]),
        (2, 1, [0, 0, 0, 0, 1]),
    ]
    assert (diwali["logged"], diwali["moved"], loose["logged"]) == (7, 0, 1)
    assert (reconciliation["issued"], reconciliation["logged"], reconciliation["balanced"]) == (8, 8, True)


def test_moved_credit_is_shown_by_both_pools(console: Client, ada: User, open_pool: OpenPool, issue: Issue) -> None:
    first, second = open_pool(name="First"), open_pool(name="Second")
    edit_asset.update_asset(issue(pool=first).pk, ada, pool=second)

    reconciliation = dashboard_context(console)["reconciliation"]

    assert [(group["pool"], group["logged"], group["moved"]) for group in reconciliation["groups"]] == [
        ("First", 1, -1),
        ("Second", 0, 1),
    ]
    assert reconciliation["balanced"]


def test_refusals_are_counted_by_code(console: Client) -> None:
    for code in ("pool_sold_out", "rate_limited", "pool_sold_out"):
        refusal_counts.count_refusal(code)

    refusals = dashboard_context(console)["refusals"]

    assert [(bar.label, bar.number) for bar in refusals.bars] == [("pool_sold_out", 2), ("rate_limited", 1)]


def test_refusals_outside_the_period_are_not_counted(db: None) -> None:
    refusal_counts.count_refusal("busy")
    now = timezone.now()

    assert refusal_counts.refusals_by_code(now - timedelta(days=2), now - timedelta(days=1)) == {}
    assert refusal_counts.refusals_by_code(now - timedelta(days=900), now) == {"busy": 1}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"since": "2026-02-01", "until": "2026-01-01"}, "Choose a date after the start"),
        ({"since": "2020-01-01", "until": "2026-01-01"}, "at most a year later"),
        ({"until": "9999-12-31"}, "before the year 9999"),
        ({"pool": "no-uuid"}, "no-uuid is not one of the available choices"),
        ({"period": "for ever"}, "is not one of the available choices"),
    ],
)
def test_invalid_period_shows_an_error_and_the_last_week(console: Client, query: dict[str, str], wrong: str) -> None:
    answer = console.get(INDEX, query)

    assert wrong in answer.content.decode()
    assert answer.context["period"].until - answer.context["period"].since == timedelta(days=7)


def test_period_field_shows_the_selected_period(console: Client) -> None:
    for query, period in (({}, "7d"), ({"pool": ""}, "7d"), ({"period": "24h"}, "24h")):
        assert dashboard_context(console, query)["choice"]["period"].value() == period


@pytest.mark.parametrize("since", ["0001-01-01", "2026-01-01"])
def test_period_with_only_a_start_lasts_at_most_a_year(console: Client, since: str) -> None:
    period = dashboard_context(console, {"since": since})["period"]

    assert timedelta() < period.until - period.since <= timedelta(days=366)


def test_dashboard_without_credits_says_what_to_do_first(console: Client) -> None:
    assert "No credits issued yet" in console.get(INDEX).content.decode()


def test_dashboard_takes_as_many_queries_for_a_hundred_pools(
    *,
    console: Client,
    alice: User,
    supply: CreditPool,
    open_pool: OpenPool,
    issue: Issue,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    # Session, person, a time limit (3), pools, supply, log, five flows, claims, expiring, busiest; and of the alerts:
    # tasks, the last seal, the first entry without one, proposals, webhooks, rules, held referrals, open
    # pools and their supply.
    with django_assert_num_queries(16 + 9):
        console.get(INDEX)
    for number in range(100):
        claim_asset(issue(pool=open_pool(name=f"Pool {number}")).pk, alice)

    with django_assert_num_queries(16 + 9):
        console.get(INDEX)


def test_charts_use_no_script_and_no_other_host(console: Client, supply: CreditPool) -> None:
    page = console.get(INDEX).content.decode()

    assert page.count("<svg") >= 3
    assert "//" not in page.replace("http://testserver/", "/")
    assert "<script>" not in page


def test_refusal_counts_are_stored_in_the_cache_only(db: None) -> None:
    refusal_counts.count_refusal("busy")
    refusal_counts.UNWRITTEN.write()
    caches["default"].clear()

    assert refusal_counts.refusals_by_code(timezone.now() - timedelta(hours=1), timezone.now()) == {}
