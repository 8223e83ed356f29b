"""What an operator sees first: figures and charts of a period and a pool, each a grouped query."""

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


def shown(browser: Client, query: dict[str, str] | None = None) -> Any:
    return browser.get(INDEX, query or {}).context


def figures(panel: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {figure["title"]: (figure["value"], figure["count"]) for figure in [*panel["moved"], *panel["now"]]}


def test_the_figures_are_those_of_the_period_and_of_now(console: Client, supply: CreditPool) -> None:
    rupees, dollars = shown(console)["panels"]

    assert figures(rupees) == {
        "issued": ("700.00", 7),
        "claimed": ("200.00", 2),
        "expired": ("100.00", 1),
        "deleted": ("100.00", 1),
        "on offer": ("300.00", 3),
        "liability": ("200.00", 2),
        "ended unused": ("100.00", 1),
    }
    assert figures(dollars)["issued"] == ("1.00", 1)


def test_a_period_that_is_over_holds_nothing_of_today(console: Client, supply: CreditPool) -> None:
    rupees = shown(console, {"since": "2020-01-01", "until": "2020-01-31"})["panels"][0]

    assert [figure["count"] for figure in rupees["moved"]] == [0, 0, 0, 0]
    assert [figure["count"] for figure in rupees["now"]] == [3, 2, 1]


def test_one_pool_is_looked_at_alone(console: Client, supply: CreditPool, open_pool: OpenPool) -> None:
    mine = shown(console, {"pool": str(supply.pk)})
    other = shown(console, {"pool": str(open_pool(name="Empty").pk)})

    assert [panel["currency"] for panel in mine["panels"]] == ["INR"]
    assert (mine["claims"].total, mine["expiring"].total) == (2, 2)
    assert (other["panels"], other["claims"].total, other["tie"]["groups"]) == ([], 0, [])


def test_what_is_due_reads_expired_before_any_sweep(console: Client, issue: Issue) -> None:
    CashbackAsset.objects.bulk_create(
        [CashbackAsset(title="x", total_value=1, currency="INR", expires_at=timezone.now() - timedelta(hours=1))]
    )

    rupees = figures(shown(console)["panels"][0])

    assert (rupees["expired"], rupees["on offer"], rupees["ended unused"]) == (("1.00", 1), ("0.00", 0), ("1.00", 1))


def test_claims_are_told_by_the_hour_and_for_long_periods_by_the_day(console: Client, supply: CreditPool) -> None:
    week, quarter = shown(console)["claims"], shown(console, {"period": "90d"})["claims"]

    assert (len(week.bars), week.bars[-1].number, week.total) == (169, 2, 2)
    assert (len(quarter.bars), quarter.bars[-1].number, quarter.total) == (91, 2, 2)


def test_the_busiest_pools_and_what_ends_soon_are_told(console: Client, supply: CreditPool) -> None:
    context = shown(console)

    assert [(bar.label, bar.number, bar.note) for bar in context["busiest"].bars] == [("Diwali", 2, "200.00 INR")]
    assert [(bar.number, bar.note) for bar in context["expiring"].bars if bar.number] == [(2, "200.00 INR")]


def test_each_generation_of_a_pool_ties_out_with_the_log_of_issues(console: Client, supply: CreditPool) -> None:
    tie = shown(console)["tie"]

    diwali, loose = tie["groups"]
    assert [(line["generation"], line["issued"], line["counts"]) for line in diwali["lines"]] == [
        (1, 6, [3, 2, 1, 0]),
        (2, 1, [0, 0, 0, 1]),
    ]
    assert (diwali["logged"], diwali["moved"], loose["logged"]) == (7, 0, 1)
    assert (tie["issued"], tie["logged"], tie["tied"]) == (8, 8, True)


def test_a_credit_that_was_moved_is_told_by_both_pools(console: Client, ada: User, open_pool: OpenPool, issue: Issue) -> None:
    first, second = open_pool(name="First"), open_pool(name="Second")
    edit_asset.update_asset(issue(pool=first).pk, ada, pool=second)

    tie = shown(console)["tie"]

    assert [(group["pool"], group["logged"], group["moved"]) for group in tie["groups"]] == [("First", 1, -1), ("Second", 0, 1)]
    assert tie["tied"]


def test_refusals_are_counted_by_code(console: Client) -> None:
    for code in ("pool_sold_out", "rate_limited", "pool_sold_out"):
        refusal_counts.count_refusal(code)

    refusals = shown(console)["refusals"]

    assert [(bar.label, bar.number) for bar in refusals.bars] == [("pool_sold_out", 2), ("rate_limited", 1)]


def test_refusals_of_another_time_are_not_counted_here(db: None) -> None:
    refusal_counts.count_refusal("busy")
    now = timezone.now()

    assert refusal_counts.refusals_by_code(now - timedelta(days=2), now - timedelta(days=1)) == {}
    assert refusal_counts.refusals_by_code(now - timedelta(days=900), now) == {"busy": 1}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"since": "2026-02-01", "until": "2026-01-01"}, "Choose a day after the first one"),
        ({"since": "2020-01-01", "until": "2026-01-01"}, "at most a year later"),
        ({"until": "9999-12-31"}, "before the year 9999"),
        ({"pool": "no-uuid"}, "no-uuid is not one of the available choices"),
        ({"period": "for ever"}, "is not one of the available choices"),
    ],
)
def test_a_period_that_is_none_is_said_and_the_last_week_shown(console: Client, query: dict[str, str], wrong: str) -> None:
    answer = console.get(INDEX, query)

    assert wrong in answer.content.decode()
    assert answer.context["period"].until - answer.context["period"].since == timedelta(days=7)


def test_the_period_that_is_shown_is_the_one_that_reads_as_chosen(console: Client) -> None:
    for query, period in (({}, "7d"), ({"pool": ""}, "7d"), ({"period": "24h"}, "24h")):
        assert shown(console, query)["choice"]["period"].value() == period


@pytest.mark.parametrize("since", ["0001-01-01", "2026-01-01"])
def test_a_first_day_alone_reaches_as_far_as_a_year(console: Client, since: str) -> None:
    period = shown(console, {"since": since})["period"]

    assert timedelta() < period.until - period.since <= timedelta(days=366)


def test_an_empty_house_says_what_to_do_first(console: Client) -> None:
    assert "Nothing was issued yet" in console.get(INDEX).content.decode()


def test_the_overview_takes_as_many_queries_for_a_hundred_pools(
    *,
    console: Client,
    alice: User,
    supply: CreditPool,
    open_pool: OpenPool,
    issue: Issue,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(
        16
    ):  # session, person, a time limit (3), pools, supply, log, five flows, claims, expiring, busiest
        console.get(INDEX)
    for number in range(100):
        claim_asset(issue(pool=open_pool(name=f"Pool {number}")).pk, alice)

    with django_assert_num_queries(16):
        console.get(INDEX)


def test_the_charts_are_shapes_without_script_or_foreign_host(console: Client, supply: CreditPool) -> None:
    page = console.get(INDEX).content.decode()

    assert page.count("<svg") >= 3
    assert "//" not in page.replace("http://testserver/", "/")
    assert "<script>" not in page


def test_the_counts_of_refusals_live_in_the_cache_alone(db: None) -> None:
    refusal_counts.count_refusal("busy")
    caches["default"].clear()

    assert refusal_counts.refusals_by_code(timezone.now() - timedelta(hours=1), timezone.now()) == {}
