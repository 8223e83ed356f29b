"""The dashboard: balances, chart and expiring offers."""

from collections.abc import Callable
from datetime import UTC, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.history import backdate
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.pages.balance_chart import balance_charts, build_balance

DASHBOARD = reverse("dashboard")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def test_deactivated_user_is_treated_as_anonymous(alice_client: Client, alice: User) -> None:
    alice.is_active = False
    alice.save(update_fields=["is_active"])

    assert alice_client.get(DASHBOARD).status_code == 302


def test_balance_is_the_sum_of_the_users_own_entries(alice_client: Client, alice: User, bob: User, issue: Issue) -> None:
    for value in ("10.50", "123456.25"):
        claim_asset(issue(total_value=Decimal(value)).pk, alice)
    claim_asset(issue(total_value=Decimal(700), currency="JPY").pk, alice)
    claim_asset(issue(total_value=Decimal("5.125"), currency="KWD").pk, alice)
    claim_asset(issue(total_value=Decimal("99.99")).pk, bob)

    page = alice_client.get(DASHBOARD).content.decode()

    for text in ("₹1,23,466.75", "¥700<", "KWD\N{NO-BREAK SPACE}5.125", "Available in INR"):
        assert text in page
    assert "99.99" not in page


def test_empty_wallet_links_to_the_offers(alice_client: Client) -> None:
    page = alice_client.get(DASHBOARD).content.decode()

    assert "Your wallet is empty" in page
    assert reverse("offers") in page


def test_chart_has_a_step_per_day_with_claims(alice: User, issue: Issue) -> None:
    for value, days in (("100.00", 20), ("50.00", 5), ("25.00", 5), ("25.00", 0)):
        backdate(claim_asset(issue(total_value=Decimal(value)).pk, alice), timedelta(days=days))

    (balance,) = balance_charts(alice)

    today = timezone.now().astimezone(UTC).date()
    assert (balance.currency, balance.total, balance.opening) == ("INR", 200, 0)
    assert (balance.start, balance.end) == (today - timedelta(days=21), today)
    assert [(today - day.day, day.change, day.balance) for day in balance.days] == [
        (timedelta(days=20), 100, 100),
        (timedelta(days=5), 75, 175),
        (timedelta(days=0), 25, 200),
    ]
    assert balance.line == "M0 160.0H27.3V86.0H436.4V30.5H572.7V12.0H600"


def test_claims_before_the_chart_are_its_opening_balance(alice: User, issue: Issue) -> None:
    for days in (400, 100, 1):
        backdate(claim_asset(issue(total_value=Decimal("10.00")).pk, alice), timedelta(days=days))

    (balance,) = balance_charts(alice)

    assert (balance.end - balance.start, balance.opening, balance.total) == (timedelta(days=90), 20, 30)
    assert [day.balance for day in balance.days] == [30]


def test_unchanged_balance_is_a_level_line(alice: User, issue: Issue) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(days=200))

    (balance,) = balance_charts(alice)

    assert (balance.line, balance.opening, balance.days) == ("M0 12.0H600", 100, [])


def test_table_lists_the_latest_days_and_says_when_there_are_earlier_ones() -> None:
    today = timezone.now().astimezone(UTC).date()
    days = [today - timedelta(days=ago) for ago in range(14, -1, -1)]
    rows = [SimpleNamespace(day=day, change=Decimal(1)) for day in days]
    figures = {"currency": "INR", "balance": Decimal(15)}

    long, short = build_balance(figures, rows), build_balance(figures, rows[1:])

    assert [day.day for day in long.latest] == [day.day for day in short.latest] == days[:0:-1]
    assert (long.has_earlier_days, short.has_earlier_days) == (True, False)


def test_chart_has_a_text_description_and_a_table(alice_client: Client, alice: User, issue: Issue) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(days=1))
    claim_asset(issue().pk, alice)

    page = alice_client.get(DASHBOARD).content.decode()

    assert '<svg class="chart"' in page
    assert "From ₹0.00 on" in page
    assert '<td class="number">+₹100.00</td><td class="number">₹200.00</td>' in page


@pytest.mark.parametrize(("days", "drawn"), [((0,), False), ((200,), False), ((3, 3), False), ((0, 1), True), ((200, 1), True)])
def test_chart_is_drawn_only_with_two_points_or_more(
    alice_client: Client, alice: User, issue: Issue, days: tuple[int, ...], drawn: bool
) -> None:
    for ago in days:
        backdate(claim_asset(issue().pk, alice), timedelta(days=ago))

    assert ('class="chart"' in alice_client.get(DASHBOARD).content.decode()) == drawn


def test_balance_and_latest_claims_come_first(alice_client: Client, alice: User, issue: Issue) -> None:
    for number in range(7):
        backdate(claim_asset(issue(title=f"credit {number}").pk, alice), timedelta(days=number))
    issue(title="still on offer", expires_at=timezone.now() + timedelta(days=1))

    page = alice_client.get(DASHBOARD).content.decode()

    start = page.index("Recent activity")
    places = [
        page.index(text, 0 if text == "₹700.00" else start)
        for text in ("₹700.00", "Recent activity", "credit 0", "credit 4", 'class="chart"', "still on offer")
    ]
    assert places == sorted(places)
    assert "credit 5" not in page[places[1] :]


def test_dashboard_offers_the_claimable_credits_that_expire_soonest(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    limited, soon = open_pool(name="limited", per_user_limit=1), timezone.now() + timedelta(days=1)
    claim_asset(issue(pool=limited).pk, alice)
    issue(pool=limited, title="refused", expires_at=soon)
    issue(title="later", expires_at=soon + timedelta(days=9))
    issue(title="soon", expires_at=soon)
    issue(title="never")

    assert [offer.title for offer in alice_client.get(DASHBOARD).context["expiring_offers"]] == ["soon", "later"]


def test_dashboard_takes_eight_queries_for_any_number_of_pools(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        pool = open_pool(name=f"Pool {number}")
        for _ in range(3):
            asset = issue(pool=pool, expires_at=timezone.now() + timedelta(days=3))
        claim_asset(asset.pk, alice)

    # session, user; pools, what ends next; balances, their course, credits; the latest lines
    with django_assert_num_queries(2 + 2 + 3 + 1):
        alice_client.get(DASHBOARD)


@pytest.mark.django_db
def test_anonymous_request_redirects_to_sign_in(client: Client) -> None:
    assert client.get(DASHBOARD)["Location"] == f"{reverse('sign_in')}?next={DASHBOARD}"
