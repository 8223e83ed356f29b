"""Extending the expiry of an asset."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
SOON, LATER = datetime(2040, 1, 1, tzinfo=UTC), datetime(2040, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(("until", "end"), [(LATER, LATER), (date(2040, 1, 31), LATER), (None, None)])
def test_a_credit_lives_longer(ada: User, issue: Issue, until: datetime | None, end: datetime | None) -> None:
    asset = issue(expires_at=SOON)

    edit_asset.extend_asset(asset.pk, ada, until)

    assert CashbackAsset.objects.get().expires_at == end


def test_a_day_ends_where_the_pool_is(ada: User, open_pool: Callable[..., CreditPool], issue: Issue) -> None:
    asset = issue(expires_at=SOON, pool=open_pool(time_zone="Asia/Kolkata"))

    edit_asset.extend_asset(asset.pk, ada, date(2040, 1, 31))

    assert CashbackAsset.objects.get().expires_at == datetime(2040, 1, 31, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize("end", [SOON, LATER, None])
def test_no_life_is_cut_short(ada: User, issue: Issue, end: datetime | None) -> None:
    asset = issue(expires_at=end)

    with pytest.raises(ValidationError, match="never shortens an expiry"):
        edit_asset.extend_asset(asset.pk, ada, SOON)

    assert CashbackAsset.objects.get().expires_at == end


def test_claimed_asset_is_not_extended(ada: User, alice: User, issue: Issue) -> None:
    asset = issue(expires_at=SOON)
    claim_asset(asset.pk, alice)

    with pytest.raises(edit_asset.AssetNotAvailable):
        edit_asset.extend_asset(asset.pk, ada, LATER)

    assert CashbackAsset.objects.get().expires_at == SOON


def test_change_history_keeps_the_previous_values(ada: User, issue: Issue) -> None:
    edit_asset.extend_asset(issue(expires_at=SOON).pk, ada, LATER)

    event = CashbackAsset.pgh_event_model.objects.get()  # type: ignore[attr-defined]
    assert event.before["expires_at"] == "2040-01-01T00:00:00+00:00"
    assert event.expires_at == LATER
