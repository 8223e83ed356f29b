"""Illegal states of assets and pools, attempted by manual SQL: PostgreSQL rejects them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from kernel.transactions import violated_constraint
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def settle() -> None:
    """Judge what was done so far as a commit would."""
    sql("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def refused(rule: str) -> Iterator[None]:
    """The block breaks exactly the rule of this name, and no row of any asset changes."""
    settle()
    before = list(CashbackAsset.objects.order_by("id").values())
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        yield
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert violated_constraint(refusal.value) == rule
    assert list(CashbackAsset.objects.order_by("id").values()) == before


CLAIM = "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = %s"


@pytest.fixture
def claimed(issue: Issue, alice: User) -> CashbackAsset:
    asset = issue(title="Claimed already")
    claim_asset(asset.pk, alice)
    asset.refresh_from_db()
    return asset


@pytest.fixture
def expired(issue: Issue) -> CashbackAsset:
    asset = issue(title="Expired already")
    CashbackAsset.objects.filter(pk=asset.pk).update(status="EXPIRED")
    asset.refresh_from_db()
    return asset


@pytest.fixture
def due(issue: Issue) -> CashbackAsset:
    """An asset whose expiry has passed unnoticed."""
    asset = issue(title="Due")
    CashbackAsset.objects.filter(pk=asset.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    asset.refresh_from_db()
    return asset


def test_a_claimed_asset_never_changes_owner(claimed: CashbackAsset, bob: User) -> None:
    with refused("asset_final"):
        sql("UPDATE assets_cashbackasset SET claimed_by_id = %s WHERE id = %s", bob.pk, claimed.pk)


def test_a_claimed_asset_never_becomes_available_again(claimed: CashbackAsset) -> None:
    with refused("asset_final"):
        sql(
            "UPDATE assets_cashbackasset SET status = 'AVAILABLE', claimed_by_id = NULL, claimed_at = NULL WHERE id = %s",
            claimed.pk,
        )


def test_a_claimed_asset_never_expires(claimed: CashbackAsset) -> None:
    with refused("asset_final"):
        sql("UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s", claimed.pk)


def test_a_claimed_asset_keeps_its_value(claimed: CashbackAsset) -> None:
    with refused("asset_final"):
        sql("UPDATE assets_cashbackasset SET total_value = total_value + 1 WHERE id = %s", claimed.pk)


def test_a_claimed_asset_is_never_deleted(claimed: CashbackAsset) -> None:
    with refused("asset_keep_claimed"):
        sql("DELETE FROM assets_cashbackasset WHERE id = %s", claimed.pk)


def test_an_expired_asset_is_never_claimed(expired: CashbackAsset, alice: User) -> None:
    with refused("asset_final"):
        sql(CLAIM, alice.pk, expired.pk)


def test_an_expired_asset_never_becomes_available_again(expired: CashbackAsset) -> None:
    with refused("asset_final"):
        sql("UPDATE assets_cashbackasset SET status = 'AVAILABLE' WHERE id = %s", expired.pk)


def test_an_asset_is_not_claimed_at_or_after_its_expiry(due: CashbackAsset, alice: User) -> None:
    with refused("asset_claimed_before_expiry"):
        sql(CLAIM, alice.pk, due.pk)


def test_forged_claim_time_before_the_expiry_is_rejected(due: CashbackAsset, alice: User) -> None:
    with refused("asset_claimed_before_expiry"):
        sql(
            "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, claimed_at = %s WHERE id = %s",
            alice.pk,
            timezone.now() - timedelta(hours=1),
            due.pk,
        )


def test_an_expiry_is_not_moved_by_the_claim_itself(due: CashbackAsset, alice: User) -> None:
    with refused("asset_claim_only"):
        sql(
            "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, expires_at = NULL WHERE id = %s",
            alice.pk,
            due.pk,
        )


def test_a_due_asset_is_not_given_a_longer_life(due: CashbackAsset) -> None:
    with refused("asset_not_due"):
        sql("UPDATE assets_cashbackasset SET expires_at = now() + interval '1 day' WHERE id = %s", due.pk)


def test_a_claim_does_not_change_the_value(issue: Issue, alice: User) -> None:
    asset = issue()
    with refused("asset_claim_only"):
        sql(
            "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, total_value = 1 WHERE id = %s",
            alice.pk,
            asset.pk,
        )


def test_a_claimed_asset_has_an_owner(issue: Issue) -> None:
    asset = issue()
    with refused("asset_owner_iff_claimed"):
        sql(CLAIM, None, asset.pk)


def test_an_available_asset_has_no_owner(issue: Issue, alice: User) -> None:
    asset = issue()
    with refused("asset_owner_iff_claimed"):
        sql("UPDATE assets_cashbackasset SET claimed_by_id = %s WHERE id = %s", alice.pk, asset.pk)


def test_a_claimed_asset_without_its_entry_does_not_commit(issue: Issue, alice: User) -> None:
    asset = issue()
    with refused("asset_claimed_has_entry"):
        sql(CLAIM, alice.pk, asset.pk)


@pytest.mark.parametrize("value", ["0", "-1", "1000000000.01", "NaN"])
def test_a_value_is_positive_and_within_the_cap(issue: Issue, value: str) -> None:
    asset = issue()
    with refused("asset_value_range"):
        sql("UPDATE assets_cashbackasset SET total_value = %s WHERE id = %s", value, asset.pk)


@pytest.mark.parametrize(("currency", "value"), [("JPY", "1.5"), ("INR", "1.005"), ("KWD", "1.0005")])
def test_a_value_has_no_more_decimals_than_its_currency(issue: Issue, currency: str, value: str) -> None:
    asset = issue()
    with refused("asset_value_scale"):
        sql("UPDATE assets_cashbackasset SET currency = %s, total_value = %s WHERE id = %s", currency, value, asset.pk)


@pytest.mark.parametrize("status", ["CLAIMED", "EXPIRED"])
def test_asset_is_issued_available(issue: Issue, status: str) -> None:
    asset = issue()
    with refused("asset_born_available"):
        sql(
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation)"
            " SELECT %s, title, total_value, currency, %s, 1 FROM assets_cashbackasset WHERE id = %s",
            uuid4(),
            status,
            asset.pk,
        )


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("status", "SOLD", "asset_status_known"),
        ("currency", "XXX", "asset_currency_known"),
        ("title", "", "asset_title_given"),
        ("generation", 2, "asset_same"),
        ("id", "00000000-0000-7000-8000-000000000000", "asset_same"),
        ("created_at", "2020-01-01T00:00:00Z", "asset_same"),
    ],
)
def test_asset_keeps_its_identity_and_origin(issue: Issue, column: str, value: Any, rule: str) -> None:
    asset = issue()
    with refused(rule):
        sql(f"UPDATE assets_cashbackasset SET {column} = %s WHERE id = %s", value, asset.pk)


def test_an_asset_is_issued_in_the_currency_of_its_pool(issue: Issue, open_pool: OpenPool) -> None:
    asset, pool = issue(), open_pool(currency="KWD")
    with refused("asset_pool_currency"):
        sql(
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, pool_id)"
            " SELECT %s, title, total_value, 'INR', 'AVAILABLE', 1, %s FROM assets_cashbackasset WHERE id = %s",
            uuid4(),
            pool.pk,
            asset.pk,
        )


def test_an_asset_is_not_moved_to_a_pool_of_another_currency(issue: Issue, open_pool: OpenPool) -> None:
    asset, pool = issue(), open_pool(currency="KWD")
    with refused("asset_pool_currency"):
        sql("UPDATE assets_cashbackasset SET pool_id = %s WHERE id = %s", pool.pk, asset.pk)


def test_a_pool_with_assets_keeps_its_currency(issue: Issue, open_pool: OpenPool) -> None:
    pool = open_pool()
    issue(pool=pool)
    with refused("pool_currency"):
        sql("UPDATE assets_creditpool SET currency = 'USD' WHERE id = %s", pool.pk)


def test_closed_pool_accepts_no_claim(issue: Issue, open_pool: OpenPool, alice: User) -> None:
    asset = issue(pool=open_pool(opens_at=timezone.now() + timedelta(days=1)))
    with refused("pool_open"):
        sql(CLAIM, alice.pk, asset.pk)


def test_claim_beyond_the_limit_per_user_is_refused(issue: Issue, open_pool: OpenPool, alice: User) -> None:
    pool = open_pool(per_user_limit=1)
    first, second = issue(pool=pool), issue(pool=pool)
    claim_asset(first.pk, alice)
    with refused("pool_claim_limit"):
        sql(CLAIM, alice.pk, second.pk)


def test_two_claims_of_a_user_in_a_pool_never_share_a_slot(issue: Issue, open_pool: OpenPool, alice: User) -> None:
    """The constraint holds without the trigger: the slot is forged with the claim trigger disabled."""
    pool = open_pool(per_user_limit=5)
    first, second = issue(pool=pool), issue(pool=pool)
    claim_asset(first.pk, alice)
    trigger = "ALTER TABLE assets_cashbackasset DISABLE TRIGGER USER"
    with refused("asset_claim_slot"):
        sql(trigger)
        sql(
            "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, claimed_at = now(), claim_slot = 1"
            " WHERE id = %s",
            alice.pk,
            second.pk,
        )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("per_user_limit = 0", "pool_limit_positive"),
        ("closes_at = opens_at", "pool_closes_after_opening"),
        ("kind = 'LOTTERY'", "pool_kind_known"),
        ("currency = 'XXX'", "pool_currency_known"),
    ],
)
def test_a_pool_keeps_to_its_words(open_pool: OpenPool, change: str, rule: str) -> None:
    pool = open_pool()
    with refused(rule):
        sql(f"UPDATE assets_creditpool SET {change} WHERE id = %s", pool.pk)


def test_a_parent_with_children_is_not_deleted(issue: Issue, expired: CashbackAsset) -> None:
    sql(
        "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, recreated_from_id)"
        " SELECT %s, title, total_value, currency, 'AVAILABLE', 2, id FROM assets_cashbackasset WHERE id = %s",
        uuid4(),
        expired.pk,
    )
    with pytest.raises(IntegrityError, match="recreated_from"), transaction.atomic():
        sql("DELETE FROM assets_cashbackasset WHERE id = %s", expired.pk)
        sql("SET CONSTRAINTS ALL IMMEDIATE")


def test_an_owner_is_not_deleted(claimed: CashbackAsset, alice: User) -> None:
    with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():
        sql("DELETE FROM accounts_user WHERE id = %s", alice.pk)
        sql("SET CONSTRAINTS ALL IMMEDIATE")


def test_claim_triggers_fire_for_the_replica_role(expired: CashbackAsset, alice: User) -> None:
    with refused("asset_final"):
        sql("SET LOCAL session_replication_role = replica")
        sql(CLAIM, alice.pk, expired.pk)
