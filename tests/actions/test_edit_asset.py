"""Changes of one asset by an operator, and their record in the change history."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from tests.concurrency import at_once
from wallet.actions import edit_asset, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import Claim
from wallet.assets.models import AssetNotFound, CashbackAsset
from wallet.ledger.models import Entry

Issue = Callable[..., CashbackAsset]
Rows = Callable[[], list[Any]]


def traces() -> list[tuple[str, str, str, str]]:
    events = CashbackAsset.pgh_event_model.objects.order_by("pgh_id")  # type: ignore[attr-defined]
    return [(e.pgh_label, e.title, e.pgh_context.metadata["action"], e.pgh_context.metadata["email"]) for e in events]


@pytest.fixture
def expired(issue: Issue, ada: User) -> CashbackAsset:
    return edit_asset.expire_asset(issue(title="Old").pk, ada)


@pytest.fixture
def claimed(issue: Issue, alice: User) -> CashbackAsset:
    asset = issue(title="Taken")
    claim_asset(asset.pk, alice)
    return asset


@pytest.fixture
def due(issue: Issue) -> CashbackAsset:
    asset = issue(title="Due")
    CashbackAsset.objects.filter(pk=asset.pk).update(expires_at=timezone.now())
    return asset


def test_update_of_an_available_asset_is_recorded_with_its_actor(issue: Issue, ada: User) -> None:
    asset = edit_asset.update_asset(issue().pk, ada, title="New", total_value=Decimal(7), expires_at=date(2099, 1, 1))

    asset.refresh_from_db()
    assert (asset.title, asset.total_value, asset.expires_at) == ("New", 7, datetime(2099, 1, 2, tzinfo=UTC))
    assert traces() == [("update", "New", "update", "ada@example.com")]


def test_unnamed_fields_are_unchanged(issue: Issue, ada: User) -> None:
    asset = issue(expires_at=date(2099, 1, 1))

    changed = edit_asset.update_asset(asset.pk, ada, title="New")

    assert (changed.total_value, changed.expires_at) == (asset.total_value, asset.expires_at)


def test_an_update_with_a_wrong_value_changes_nothing(issue: Issue, ada: User, everything: Rows) -> None:
    asset = issue()
    before = everything()

    with pytest.raises(ValidationError, match="INR has at most 2 decimals"):
        edit_asset.update_asset(asset.pk, ada, title="New", total_value=Decimal("1.001"))

    assert everything() == before


@pytest.mark.parametrize("state", ["claimed", "expired", "due"])
@pytest.mark.parametrize("act", [edit_asset.update_asset, edit_asset.expire_asset])
def test_only_an_available_asset_is_updated_or_expired(
    request: pytest.FixtureRequest, ada: User, state: str, act: Callable[[UUID, User], Any], everything: Rows
) -> None:
    asset = request.getfixturevalue(state)
    before = everything()

    with pytest.raises(edit_asset.AssetNotAvailable):
        act(asset.pk, ada)

    assert everything() == before


@pytest.mark.parametrize(
    "act", [edit_asset.update_asset, edit_asset.expire_asset, edit_asset.delete_asset, recreate_asset.recreate_asset]
)
def test_an_unknown_asset_is_not_found(ada: User, act: Callable[[UUID, User], Any]) -> None:
    with pytest.raises(AssetNotFound):
        act(uuid4(), ada)


@pytest.mark.parametrize("state", ["available", "expired", "due"])
def test_unclaimed_asset_is_deleted_and_recorded(request: pytest.FixtureRequest, issue: Issue, ada: User, state: str) -> None:
    asset = issue(title="Free") if state == "available" else request.getfixturevalue(state)

    edit_asset.delete_asset(asset.pk, ada)

    assert not CashbackAsset.objects.exists()
    assert traces_of_act("delete") == [("delete", asset.title, "delete", "ada@example.com")]


def traces_of_act(act: str) -> list[tuple[str, str, str, str]]:
    events = CashbackAsset.pgh_event_model.objects.filter(pgh_context__metadata__action=act)  # type: ignore[attr-defined]
    return [(e.pgh_label, e.title, e.pgh_context.metadata["action"], e.pgh_context.metadata["email"]) for e in events]


def test_a_claimed_asset_is_not_deleted(claimed: CashbackAsset, ada: User, everything: Rows) -> None:
    before = everything()

    with pytest.raises(edit_asset.AssetNotAvailable, match="has been claimed"):
        edit_asset.delete_asset(claimed.pk, ada)

    assert everything() == before


def test_a_parent_is_not_deleted(expired: CashbackAsset, ada: User, everything: Rows) -> None:
    recreate_asset.recreate_asset(expired.pk, ada)
    before = everything()

    with pytest.raises(edit_asset.AssetNotAvailable, match="children"):
        edit_asset.delete_asset(expired.pk, ada)

    assert everything() == before


def test_operator_expires_an_asset_early(issue: Issue, ada: User) -> None:
    asset = edit_asset.expire_asset(issue(title="Old").pk, ada)

    asset.refresh_from_db()
    assert asset.status == "EXPIRED"
    assert traces() == [("update", "Old", "expire", "ada@example.com")]


def test_a_recreated_asset_points_to_its_parent_and_counts_the_generation(expired: CashbackAsset, ada: User) -> None:
    child = recreate_asset.recreate_asset(expired.pk, ada)
    grandchild = recreate_asset.recreate_asset(
        edit_asset.expire_asset(child.pk, ada).pk, ada, title="Third", total_value=Decimal(3)
    )

    assert (child.recreated_from, child.generation, child.current_status) == (expired, 2, "AVAILABLE")
    assert (child.title, child.total_value, child.currency) == (expired.title, expired.total_value, expired.currency)
    assert (grandchild.recreated_from, grandchild.generation) == (child, 3)
    assert (grandchild.title, grandchild.total_value) == ("Third", 3)


def test_a_child_lives_as_long_as_its_parent_was_meant_to(issue: Issue, ada: User) -> None:
    parent = issue(expires_at=timezone.now() + timedelta(days=30))
    edit_asset.expire_asset(parent.pk, ada)

    child = recreate_asset.recreate_asset(parent.pk, ada)

    assert abs(child.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)  # type: ignore[operator]


def test_recreated_asset_may_have_no_expiry(issue: Issue, ada: User) -> None:
    parent = issue(expires_at=timezone.now() + timedelta(days=30))
    edit_asset.expire_asset(parent.pk, ada)

    assert recreate_asset.recreate_asset(parent.pk, ada, expires_at=None).expires_at is None


def test_a_due_asset_is_recreated_without_waiting_for_the_sweep(due: CashbackAsset, ada: User) -> None:
    recreate_asset.recreate_asset(due.pk, ada, expires_at=None)

    due.refresh_from_db()
    assert due.status == "EXPIRED"


@pytest.mark.parametrize("state", ["claimed", "available"])
def test_only_an_expired_asset_is_recreated(
    request: pytest.FixtureRequest, issue: Issue, ada: User, state: str, everything: Rows
) -> None:
    asset = issue() if state == "available" else request.getfixturevalue(state)
    before = everything()

    with pytest.raises(recreate_asset.AssetNotExpired):
        recreate_asset.recreate_asset(asset.pk, ada)

    assert everything() == before


def test_asset_is_recreated_once_unless_again_is_set(expired: CashbackAsset, ada: User, everything: Rows) -> None:
    recreate_asset.recreate_asset(expired.pk, ada)
    before = everything()
    with pytest.raises(recreate_asset.AlreadyRecreated):
        recreate_asset.recreate_asset(expired.pk, ada)
    assert everything() == before

    assert recreate_asset.recreate_asset(expired.pk, ada, again=True).generation == 2


@pytest.mark.django_db(transaction=True)
def test_recreated_at_once_from_ten_places_there_is_one_child(issue: Issue, ada: User) -> None:
    parent = edit_asset.expire_asset(issue().pk, ada)

    outcomes = at_once(lambda _: recreate_asset.recreate_asset(parent.pk, ada), range(10))

    assert sum(isinstance(outcome, recreate_asset.AlreadyRecreated) for outcome in outcomes) == 9
    assert parent.children.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_claim_an_expiry_and_a_deletion_at_once_leave_one_truth(issue: Issue, ada: User, alice: User) -> None:
    for _ in range(10):
        asset = issue()
        acts = [
            lambda pk: claim_asset(pk, alice),
            lambda pk: edit_asset.expire_asset(pk, ada),
            lambda pk: edit_asset.delete_asset(pk, ada),
        ]

        outcomes = at_once(lambda act, pk=asset.pk: act(pk), acts)  # type: ignore[misc]

        left = CashbackAsset.objects.filter(pk=asset.pk).values_list("status", flat=True).first()
        assert (left == "CLAIMED") == isinstance(outcomes[0], Claim) == Entry.objects.filter(asset=asset.pk).exists()
        assert (left is None) == (outcomes[2] is None)
