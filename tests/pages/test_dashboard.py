"""What a user may claim, and what is theirs."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from wallet import changing, claims, pools
from wallet.assets.models import CashbackAsset, CreditPool

DASHBOARD = reverse("dashboard")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.mark.django_db
def test_a_stranger_is_sent_to_sign_in_and_back(client: Client) -> None:
    answer = client.get(DASHBOARD, {"q": "tea"})

    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('sign_in')}?next=/dashboard/%3Fq%3Dtea")


def test_a_disabled_user_is_a_stranger(alices: Client, alice: User) -> None:
    alice.is_active = False
    alice.save(update_fields=["is_active"])

    assert alices.get(DASHBOARD).status_code == 302


def test_the_balance_is_the_sum_of_ones_own_entries(alices: Client, alice: User, bob: User, issue: Issue) -> None:
    for value in ("10.50", "4.25"):
        claims.claim(issue(total_value=Decimal(value)).pk, alice)
    claims.claim(issue(total_value=Decimal(700), currency="JPY").pk, alice)
    claims.claim(issue(total_value=Decimal("99.99")).pk, bob)

    page = alices.get(DASHBOARD).content.decode()

    assert "14.75 <small>INR</small>" in page
    assert "700 <small>JPY</small>" in page
    assert "2 credits claimed" in page
    assert "99.99" not in page


def test_what_ends_first_stands_first_and_what_is_gone_stands_nowhere(
    alices: Client, ada: User, bob: User, issue: Issue
) -> None:
    soon = timezone.now() + timedelta(days=1)
    issue(title="never ends")
    issue(title="ends later", expires_at=soon + timedelta(days=1))
    issue(title="ends soon", expires_at=soon)
    changing.expire(issue(title="ended").pk, ada)
    claims.claim(issue(title="taken").pk, bob)

    shown = [credit.title for credit in alices.get(DASHBOARD).context["page"].items]

    assert shown == ["ends soon", "ends later", "never ends"]


def test_the_credits_of_a_hidden_pool_are_hidden(alices: Client, ada: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    issue(pool=pool, title="secret")
    pools.update_pool(pool.pk, ada, is_active=False)

    assert "secret" not in alices.get(DASHBOARD).content.decode()


def test_a_time_is_written_for_people_and_machines(alices: Client, issue: Issue) -> None:
    issue(expires_at=timezone.datetime(2099, 3, 1, 0, 0, tzinfo=timezone.get_fixed_timezone(330)))

    assert '<time datetime="2099-02-28T18:30:00Z">28 Feb 2099, 18:30 UTC</time>' in alices.get(DASHBOARD).content.decode()


def test_a_search_looks_at_titles(alices: Client, issue: Issue) -> None:
    issue(title="Green tea")
    issue(title="Coffee")

    assert [credit.title for credit in alices.get(DASHBOARD, {"q": "TEA"}).context["page"].items] == ["Green tea"]
    assert "No credit on offer has “rum”" in alices.get(DASHBOARD, {"q": "rum"}).content.decode()


@pytest.mark.parametrize("odd", ["\x00", "%", "x" * 101, "'; DROP TABLE x; --", "\ud7ff🎉"])
def test_no_search_breaks_the_page(alices: Client, issue: Issue, odd: str) -> None:
    issue()

    assert alices.get(DASHBOARD, {"q": odd}).status_code == 200


def test_a_long_list_is_turned_page_by_page_and_keeps_the_search(alices: Client, issue: Issue) -> None:
    for number in range(25):
        issue(title=f"tea {number}")

    first, second = alices.get(DASHBOARD, {"q": "tea"}), alices.get(DASHBOARD, {"q": "tea", "page": "2"})

    assert [len(page.context["page"].items) for page in (first, second)] == [20, 5]
    assert 'rel="next" href="?q=tea&amp;page=2"' in first.content.decode()
    assert 'rel="prev" href="?q=tea&amp;page=1"' in second.content.decode()


@pytest.mark.parametrize("number", ["0", "-1", "x", "1e3", "99999", "9" * 30, "²"])
def test_a_page_that_cannot_be_is_not_found(alices: Client, number: str) -> None:
    assert alices.get(DASHBOARD, {"page": number}).status_code == 404


def test_a_full_pool_offers_a_button_and_a_used_up_limit_does_not(
    alices: Client, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    limited, free = open_pool(name="limited", per_user_limit=1), open_pool(name="free")
    for pool in (limited, limited, free):
        asset = issue(pool=pool)
    claims.claim(CashbackAsset.objects.filter(pool=limited)[0].pk, alice)

    page = alices.get(DASHBOARD).content.decode()

    assert reverse("claim_pool", args=[free.pk]) in page
    assert reverse("claim_pool", args=[limited.pk]) not in page
    assert "You hold all that this pool allows one person." in page
    assert reverse("claim_asset", args=[asset.pk]) in page


def test_a_hundred_credits_and_ten_pools_take_five_queries(
    alices: Client, alice: User, open_pool: OpenPool, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        pool = open_pool(name=f"Pool {number}")
        for _ in range(10):
            asset = issue(pool=pool)
        claims.claim(asset.pk, alice)

    with django_assert_num_queries(2 + 3):  # session, user; credits, pools, balances
        alices.get(DASHBOARD)
