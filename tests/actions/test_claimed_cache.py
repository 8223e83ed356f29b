"""The cache of claimed assets: it refuses other users without a query, and never the owner."""

from collections.abc import Callable

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from kernel.refusals import Refusal
from kernel.server_timeline import SERVER_TIMELINE
from wallet.actions.claim import claim_asset
from wallet.actions.claim_decisions import AssetAlreadyClaimed
from wallet.assets import claimed_cache
from wallet.assets.models import CashbackAsset

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]


def timeline() -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SERVER_TIMELINE}")
        return str(cursor.fetchone()[0])


@pytest.fixture
def claimed(issue: Issue, alice: User, bob: User) -> CashbackAsset:
    """Return what alice claimed, which this process remembers since bob asked for it."""
    asset = issue()
    claim_asset(asset.pk, alice)
    with pytest.raises(AssetAlreadyClaimed):
        claim_asset(asset.pk, bob)
    assert caches["claimed"].get(f"{timeline()}:{asset.pk}") == str(alice.pk)
    alice.server_timeline = bob.server_timeline = timeline()  # as authentication reads it
    return asset


def test_the_owner_of_a_remembered_credit_gets_the_first_claim_again(claimed: CashbackAsset, alice: User) -> None:
    assert not claimed_cache.is_claimed_by_other(claimed.pk, alice)

    again = claim_asset(claimed.pk, alice)

    assert (again.status_code, again.receipt["asset"]) == (200, str(claimed.pk))


def test_claim_of_a_cached_asset_needs_no_query(claimed: CashbackAsset, bob: User, ada: User) -> None:
    ada.server_timeline = timeline()
    for user in (bob, ada):
        with CaptureQueriesContext(connection) as sent, pytest.raises(AssetAlreadyClaimed):
            claim_asset(claimed.pk, user)
        assert sent.captured_queries == []


def test_uncached_asset_has_no_known_owner(issue: Issue, alice: User) -> None:
    assert not claimed_cache.is_claimed_by_other(issue().pk, alice)


def test_other_refusals_are_not_cached(issue: Issue, alice: User) -> None:
    asset = issue()
    CashbackAsset.objects.filter(pk=asset.pk).update(status="EXPIRED")

    with pytest.raises(Refusal):
        claim_asset(asset.pk, alice)

    assert caches["claimed"].get(f"{timeline()}:{asset.pk}") is None


def test_an_owner_is_not_known_to_a_request_of_another_timeline(claimed: CashbackAsset, bob: User) -> None:
    assert claimed_cache.is_claimed_by_other(claimed.pk, bob)

    bob.server_timeline = "00000002-1764000000.5-16384"
    assert not claimed_cache.is_claimed_by_other(claimed.pk, bob)
    bob.server_timeline = None
    assert not claimed_cache.is_claimed_by_other(claimed.pk, bob)
