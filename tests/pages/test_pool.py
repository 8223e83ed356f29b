"""The page of a pool."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from wallet.actions import edit_pool
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def address(pool: CreditPool) -> str:
    return reverse("pool", args=[pool.pk])


def test_landing_leads_to_the_pools_page_without_sign_in(client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(name="Diwali", per_user_limit=3)
    for value in (10, 20, 30):
        issue(pool=pool, title=f"sweets {value}", total_value=Decimal(value))
    other = issue(title="of no pool")

    assert f'href="{address(pool)}"' in client.get(reverse("landing")).content.decode()
    page = client.get(address(pool)).content.decode()

    for text in (
        "Diwali",
        "3 per person",
        "3 left",
        "₹10.00",
        "₹20.00",
        "₹30.00",
        f"{reverse('sign_in')}?next={address(pool)}",
    ):
        assert text in page
    assert other.title not in page


def test_pool_page_lists_every_offer_in_pages(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for number in range(25):
        issue(pool=pool, title=f"sweets {number:02}")

    pages = [alice_client.get(address(pool), {"page": number}).context["offers"] for number in ("1", "2")]

    assert [offer.title for page in pages for offer in page] == [f"sweets {number:02}" for number in range(25)]


def test_reached_limit_is_shown_on_every_offer_of_the_pool(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(per_user_limit=1)
    mine, *_ = issue(pool=pool, title="a"), issue(pool=pool, title="b"), issue(pool=pool, title="c")
    claim_asset(mine.pk, alice)

    page = alice_client.get(address(pool)).content.decode()

    assert page.count("You've reached the limit for this offer.") == 2
    assert '<button type="submit" aria-label="Claim' not in page


@pytest.mark.parametrize(
    ("window", "state", "text"),
    [
        ({"opens_at": timedelta(days=1)}, "coming", "Opens <time"),
        ({"opens_at": -timedelta(days=9), "closes_at": -timedelta(days=1)}, "closed", "Closed <time"),
    ],
)
def test_pool_that_is_not_open_says_when_and_offers_no_claim(
    *, alice_client: Client, ada: User, open_pool: OpenPool, issue: Issue, window: dict[str, Any], state: str, text: str
) -> None:
    pool = open_pool()
    issue(pool=pool)
    edit_pool.update_pool(pool.pk, ada, **{name: timezone.now() + offset for name, offset in window.items()})

    answer = alice_client.get(address(pool))

    assert [offer.state for offer in answer.context["offers"]] == [state]
    assert text in answer.content.decode()
    assert "hx-post" not in answer.content.decode()


def test_empty_pool_leads_to_other_offers(alice_client: Client, open_pool: OpenPool) -> None:
    page = alice_client.get(address(open_pool())).content.decode()

    assert "Fully claimed" in page
    assert f'href="{reverse("offers")}">See offers</a>' in page


def test_hidden_or_long_closed_pool_is_not_found(client: Client, ada: User, open_pool: OpenPool) -> None:
    hidden, old = open_pool(name="hidden", is_active=False), open_pool(name="old")
    now = timezone.now()
    edit_pool.update_pool(old.pk, ada, opens_at=now - timedelta(days=90), closes_at=now - timedelta(days=30))

    assert [client.get(address(pool)).status_code for pool in (hidden, old)] == [404, 404]
    assert client.get(reverse("pool", args=[uuid4()])).status_code == 404


def test_pool_page_takes_four_queries_for_any_number_of_offers(
    alice_client: Client, open_pool: OpenPool, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pool = open_pool()
    for number in range(15):
        issue(pool=pool, title=f"{number}")

    with django_assert_num_queries(2 + 2):  # session, user; pool, offers
        alice_client.get(address(pool))
