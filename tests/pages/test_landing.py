"""The landing page."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from wallet.assets.models import CashbackAsset, CreditPool

LANDING = reverse("landing")


def test_landing_page_shows_offers_without_sign_in(
    client: Client, open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]
) -> None:
    pool = open_pool(name="Diwali")
    for _ in range(3):
        issue(pool=pool)
    issue(title="Late refund")

    page = client.get(LANDING)

    assert page.status_code == 200
    for text in ("Diwali", "3 left", "Late refund", reverse("register"), reverse("sign_in")):
        assert text in page.content.decode()


@pytest.mark.django_db
def test_landing_page_without_offers_says_so(client: Client) -> None:
    assert "No offers right now." in client.get(LANDING).content.decode()


@pytest.mark.parametrize(
    "hidden",
    [
        {"is_active": False},
        {"opens_at": timezone.now() + timedelta(hours=1)},
        {"opens_at": timezone.now() - timedelta(hours=2), "closes_at": timezone.now() - timedelta(hours=1)},
    ],
)
def test_pool_that_is_not_open_is_not_shown(
    client: Client, open_pool: Callable[..., CreditPool], hidden: dict[str, Any]
) -> None:
    open_pool(name="Hidden", **hidden)

    assert "Hidden" not in client.get(LANDING).content.decode()


def test_landing_page_takes_two_queries_for_any_number_of_offers(
    client: Client,
    open_pool: Callable[..., CreditPool],
    issue: Callable[..., CashbackAsset],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(15):
        issue(pool=open_pool(name=f"Pool {number}"))
        issue()

    with django_assert_num_queries(2):
        client.get(LANDING)


def test_page_has_no_inline_script_or_style_and_no_other_host(client: Client, issue: Callable[..., CashbackAsset]) -> None:
    issue()
    page = client.get(LANDING).content.decode()

    assert "<script>" not in page
    assert "style=" not in page
    assert "<style" not in page
    assert "//" not in page.replace("<!doctype html>", "")


def test_title_is_escaped(client: Client, issue: Callable[..., CashbackAsset]) -> None:
    issue(title="<b>bold</b>")

    assert "&lt;b&gt;bold&lt;/b&gt;" in client.get(LANDING).content.decode()
