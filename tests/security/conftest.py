"""Clients of every role, honest or not, and data to access."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django_q.models import Schedule
from pytest_django import Settings

from accounts.models import User
from accounts.tokens import issue_pair
from tests.api.conftest import Caller
from tests.approvals.conftest import waiting_proposal
from wallet.actions.claim import claim_asset
from wallet.actions.demo_shop import Basket, place_order
from wallet.assets.models import CashbackAsset, CreditPool


@pytest.fixture
def unlimited(settings: Settings) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def ids(issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], alice: User) -> dict[str, str]:
    """Return by the name of a room the id of something in it: what alice claimed, where one can own it."""
    pool, asset = open_pool(), issue()
    issue(pool=pool)
    entry = claim_asset(asset.pk, alice).receipt["id"]
    order = place_order(alice, Basket({"mug": 1}), Decimal(1), "k" * 20).body
    schedule = Schedule.objects.create(func="wallet.tasks.sweep", schedule_type=Schedule.ONCE)
    return {
        **dict.fromkeys(("pools", "creditpool"), str(pool.pk)),
        **dict.fromkeys(("assets", "credits", "cashbackasset", "claimedasset"), str(asset.pk)),
        **dict.fromkeys(("claims", "entry"), entry),
        **dict.fromkeys(("payments", "orders"), order["id"]),
        "movements": order["movements"][0]["id"],
        "problems": "busy",
        "batch": str(asset.batch_id),
        **dict.fromkeys(("user", "customers"), str(alice.pk)),
        "schedule": str(schedule.pk),
        "proposal": str(waiting_proposal(open_pool, alice).pk),
    }


@pytest.fixture
def browser_of() -> Callable[..., Client]:
    """Return the browser of somebody, or of a stranger; it shows what they would see when something breaks."""

    def opened(user: User | None = None, **options: Any) -> Client:
        client = Client(raise_request_exception=False, **options)
        if user:
            client.force_login(user)
        return client

    return opened


def as_caller(user: User) -> Caller:
    """Return a caller of the API who is signed in with a token."""
    caller = Caller()
    caller.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(user).access}")
    return caller
