"""Pause, resume, archive, unarchive, duplicate and delete a whole pool."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import User
from kernel.transactions import violated_constraint
from wallet.actions import edit_asset, edit_pool, issue_assets, pool_lifecycle, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.actions.claim_decisions import PoolClosed
from wallet.actions.pool_lifecycle import PoolNotEmpty
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.models import Entry
from wallet.queries import change_history

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def last_change(pool: CreditPool) -> change_history.Change:
    return change_history.of_pool(pool)[0]


def test_pause_and_resume_are_recorded_with_their_operator(open_pool: OpenPool, ada: User) -> None:
    pool = open_pool()

    assert not pool_lifecycle.pause_pool(pool.pk, ada).is_active
    assert (last_change(pool).who, last_change(pool).fields) == (ada.email, [("is_active", True, False)])
    assert pool_lifecycle.resume_pool(pool.pk, ada).is_active
    assert last_change(pool).fields == [("is_active", False, True)]


def test_archived_pool_is_paused_hidden_and_kept(open_pool: OpenPool, issue: Issue, ada: User, alice: User) -> None:
    pool = open_pool()
    owned, free = issue(pool=pool), issue(pool=pool)
    claim_asset(owned.pk, alice)

    archived = pool_lifecycle.archive_pool(pool.pk, ada)

    assert archived.archived_at is not None
    assert abs(archived.archived_at - timezone.now()) < timedelta(minutes=1)
    assert not archived.is_active
    assert list(CreditPool.objects.not_archived()) == list(CreditPool.objects.visible_to(alice)) == []
    assert (last_change(pool).action, last_change(pool).who) == ("archive", ada.email)
    with pytest.raises(PoolClosed):
        claim_asset(free.pk, ada)
    assert Entry.objects.count() == 1


def test_archiving_twice_changes_nothing_more(open_pool: OpenPool, ada: User) -> None:
    pool = open_pool()
    first = pool_lifecycle.archive_pool(pool.pk, ada)

    assert pool_lifecycle.archive_pool(pool.pk, ada).archived_at == first.archived_at
    assert len(change_history.of_pool(pool)) == 2


def test_unarchived_pool_stays_paused_until_it_is_resumed(open_pool: OpenPool, issue: Issue, ada: User, alice: User) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    pool_lifecycle.archive_pool(pool.pk, ada)

    unarchived = pool_lifecycle.unarchive_pool(pool.pk, ada)

    assert (unarchived.archived_at, unarchived.is_active) == (None, False)
    assert last_change(pool).action == "unarchive"
    pool_lifecycle.resume_pool(pool.pk, ada)
    assert claim_asset(asset.pk, alice).receipt["asset"] == str(asset.pk)


def test_archived_pool_cannot_be_resumed(open_pool: OpenPool, ada: User) -> None:
    pool = pool_lifecycle.archive_pool(open_pool().pk, ada)

    with pytest.raises(ValidationError) as refused:
        pool_lifecycle.resume_pool(pool.pk, ada)

    assert refused.value.message_dict == {"is_active": ["This pool is archived. Unarchive it first."]}
    assert not CreditPool.objects.get().is_active


def test_manual_sql_cannot_open_an_archived_pool(open_pool: OpenPool, ada: User) -> None:
    pool = pool_lifecycle.archive_pool(open_pool().pk, ada)

    with pytest.raises(IntegrityError) as refused, connection.cursor() as cursor:
        cursor.execute("UPDATE assets_creditpool SET is_active = true WHERE id = %s", [pool.pk])

    assert violated_constraint(refused.value) == "pool_archived_is_paused"


def test_archived_pool_takes_no_more_credits(open_pool: OpenPool, issue: Issue, ada: User) -> None:
    pool, loose = open_pool(), issue()
    expired = edit_asset.expire_asset(issue(pool=pool).pk, ada)
    archived = pool_lifecycle.archive_pool(pool.pk, ada)
    ways: list[Callable[[], Any]] = [
        lambda: issue_assets.issue_asset(ada, title="Lamp", total_value=1, pool=archived),
        lambda: issue_assets.issue_many(ada, archived, count=2, title="Lamp", total_value=1),
        lambda: recreate_asset.recreate_asset(expired.pk, ada),
        lambda: edit_asset.update_asset(loose.pk, ada, pool=archived),
    ]

    for way in ways:
        with pytest.raises(ValidationError) as refused:
            way()
        assert "This pool is archived" in refused.value.message_dict["pool"][0]

    assert CashbackAsset.objects.filter(pool=pool).count() == 1


def test_credit_of_an_archived_pool_can_still_be_corrected(open_pool: OpenPool, issue: Issue, ada: User) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    pool_lifecycle.archive_pool(pool.pk, ada)

    assert edit_asset.update_asset(asset.pk, ada, title="Candle").title == "Candle"
    assert edit_asset.expire_asset(asset.pk, ada).status == "EXPIRED"


def test_duplicate_has_the_settings_but_not_the_credits(open_pool: OpenPool, issue: Issue, ada: User) -> None:
    pool = open_pool(
        name="Diwali",
        kind="REFERRAL",
        per_user_limit=3,
        time_zone="Asia/Kolkata",
        opens_at=timezone.now() - timedelta(days=1),
        closes_at=timezone.now() + timedelta(days=3),
    )
    issue(pool=pool)

    copy = pool_lifecycle.duplicate_pool(pool.pk, ada, " Holi ")

    same = pool_lifecycle.DUPLICATED_FIELDS
    assert [getattr(copy, name) for name in same] == [getattr(pool, name) for name in same]
    assert (copy.name, copy.is_active, copy.archived_at, copy.assets.count()) == ("Holi", False, None, 0)
    assert (last_change(copy).action, last_change(copy).who) == ("open", ada.email)


@pytest.mark.parametrize("name", ["", " ", "Diwali", "x" * 101])
def test_duplicate_needs_a_name_of_its_own(open_pool: OpenPool, ada: User, name: str) -> None:
    pool = open_pool(name="Diwali")

    with pytest.raises(ValidationError) as refused:
        pool_lifecycle.duplicate_pool(pool.pk, ada, name)

    assert list(refused.value.message_dict) == ["name"]
    assert CreditPool.objects.count() == 1


def test_pool_without_credits_is_deleted_and_its_history_kept(open_pool: OpenPool, ada: User) -> None:
    pool = open_pool()

    pool_lifecycle.delete_pool(pool.pk, ada)

    assert not CreditPool.objects.exists()
    event = CreditPool.pgh_event_model.objects.get(pgh_label="delete")  # type: ignore[attr-defined]
    assert (event.name, event.pgh_context.metadata["email"]) == (pool.name, ada.email)


def test_pool_that_ever_had_a_credit_is_never_deleted(open_pool: OpenPool, issue: Issue, ada: User) -> None:
    issued, moved_into, deleted = open_pool(name="1"), open_pool(name="2"), open_pool(name="3")
    issue(pool=issued)
    edit_asset.update_asset(issue().pk, ada, pool=moved_into)
    edit_asset.delete_asset(issue(pool=deleted).pk, ada)

    for pool in (issued, moved_into, deleted):
        with pytest.raises(PoolNotEmpty, match="Archive it instead"):
            pool_lifecycle.delete_pool(pool.pk, ada)

    assert CreditPool.objects.count() == 3


@pytest.mark.parametrize("action", ["pause_pool", "resume_pool", "archive_pool", "unarchive_pool", "delete_pool"])
def test_an_unknown_pool_is_not_found(ada: User, action: str) -> None:
    with pytest.raises(PoolNotFound):
        getattr(pool_lifecycle, action)(uuid4(), ada)


def test_unknown_pool_is_not_duplicated(ada: User) -> None:
    with pytest.raises(PoolNotFound):
        pool_lifecycle.duplicate_pool(uuid4(), ada, "Holi")


def test_settings_of_an_archived_pool_can_be_changed(open_pool: OpenPool, ada: User) -> None:
    pool = pool_lifecycle.archive_pool(open_pool().pk, ada)

    assert edit_pool.update_pool(pool.pk, ada, name="Old").name == "Old"
