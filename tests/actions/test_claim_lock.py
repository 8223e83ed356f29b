"""The optional Redis lock of a claim: it never changes the outcome."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import override_settings
from django_redis import get_redis_connection
from pytest_django import Settings

from accounts.models import User
from tests.concurrency import at_once
from wallet.actions import claim_lock as redis_crowd
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import AssetAlreadyClaimed
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

Issue = Callable[..., CashbackAsset]
MakeUsers = Callable[[int], list[User]]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _lock_is_on(settings: Settings) -> None:
    assert settings.REDIS
    settings.CLAIM_LOCK = "redis"


def assert_one_winner(outcomes: list[Any]) -> None:
    winners = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, AssetAlreadyClaimed)]
    assert (len(winners), len(losers)) == (1, len(outcomes) - 1)
    assert Entry.objects.count() == 1


def test_one_of_thirty_concurrent_users_gets_the_asset_with_the_lock(issue: Issue, make_users: MakeUsers) -> None:
    asset = issue()

    outcomes = at_once(lambda user: claim_asset(asset.pk, user), make_users(30))

    assert_one_winner(outcomes)
    assert get_redis_connection().keys("*claim:*") == []


def test_the_lock_holds_the_others_back_while_it_is_held(issue: Issue, alice: User) -> None:
    asset = issue()
    redis_crowd.acquire_claim_lock(asset.pk)
    threading.Timer(0.3, cache.clear).start()
    started = time.monotonic()

    claim_asset(asset.pk, alice)

    assert time.monotonic() - started > 0.25


def test_unreleased_lock_is_waited_for_one_second(issue: Issue, alice: User) -> None:
    asset = issue()
    redis_crowd.acquire_claim_lock(asset.pk)
    started = time.monotonic()

    claim = claim_asset(asset.pk, alice)

    assert claim.status_code == 201
    assert 0.9 < time.monotonic() - started < 2


def test_lock_that_is_granted_to_all_changes_no_outcome(
    issue: Issue, make_users: MakeUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis lies: the lock's key is deleted again and again while thirty users are at it."""
    asset, over = issue(), threading.Event()

    def keep_flushing() -> None:
        while not over.is_set():
            cache.clear()

    liar = threading.Thread(target=keep_flushing)
    liar.start()
    outcomes = at_once(lambda user: claim_asset(asset.pk, user), make_users(30))
    over.set()
    liar.join()

    assert_one_winner(outcomes)


def test_only_its_holder_gives_a_lock_back(issue: Issue) -> None:
    asset = issue()
    late = redis_crowd.acquire_claim_lock(asset.pk)
    cache.clear()
    redis_crowd.acquire_claim_lock(asset.pk)

    redis_crowd.release_claim_lock(late)

    assert len(get_redis_connection().keys("*claim:*")) == 1


@pytest.fixture(params=["down", "hanging"])
def broken_redis(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[None]:
    """A Redis that is not there, or one that takes connections and never answers."""
    address = tmp_path / "redis.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        if request.param == "hanging":
            server.listen(100)
        config = settings.CACHES["default"] | {"LOCATION": f"unix://{address}"}
        with override_settings(CACHES=settings.CACHES | {"default": config}):
            yield


@pytest.mark.usefixtures("broken_redis")
def test_one_of_ten_concurrent_users_gets_the_asset_without_redis(issue: Issue, make_users: MakeUsers) -> None:
    asset = issue()

    outcomes = at_once(lambda user: claim_asset(asset.pk, user), make_users(10))

    assert_one_winner(outcomes)


def test_redis_lock_is_off_by_default(issue: Issue, alice: User, settings: Settings) -> None:
    settings.CLAIM_LOCK = ""
    asset = issue()
    redis_crowd.acquire_claim_lock(asset.pk)
    started = time.monotonic()

    claim_asset(asset.pk, alice)

    assert time.monotonic() - started < 0.5
