"""Claiming one asset by its id."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.models import User
from tests.together import at_once
from wallet import claims
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry


def test_a_claim_hands_the_asset_over_and_writes_one_entry(issue: Callable[..., CashbackAsset], alice: User) -> None:
    asset = issue(total_value=Decimal("49.50"))

    claim = claims.claim(asset.pk, alice)

    asset.refresh_from_db()
    entry = Entry.objects.get()
    assert (asset.status, asset.claimed_by, asset.claimed_at) == ("CLAIMED", alice, entry.claimed_at)
    assert (entry.asset, entry.user, entry.amount, entry.currency) == (asset, alice, Decimal("49.50"), "INR")
    assert claim.receipt["amount"] == "49.50"


@pytest.mark.django_db(transaction=True)
def test_of_thirty_users_at_once_one_gets_the_credit(issue: Callable[..., CashbackAsset]) -> None:
    asset = issue()
    users = [User.objects.create_user(f"user{n}@example.com") for n in range(30)]

    outcomes = at_once(lambda user: claims.claim(asset.pk, user), users)

    assert sum(isinstance(outcome, claims.Claim) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, claims.AssetAlreadyClaimed) for outcome in outcomes) == 29
    assert Entry.objects.count() == 1
