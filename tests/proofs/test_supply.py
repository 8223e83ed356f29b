"""The checker sees what was done to credits behind PostgreSQL's back, claimed or not; and what was done openly is no harm."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from wallet.actions import edit_asset, expire_assets, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.verification.checker import verify_everything

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


@dataclass
class Place:
    """Two pools; the first has credits on offer, claimed, expired, and changed before they were on offer or claimed."""

    first: CreditPool
    second: CreditPool
    offered: CashbackAsset
    claimed: CashbackAsset
    expired: CashbackAsset
    changed: CashbackAsset
    changed_and_claimed: CashbackAsset


@pytest.fixture
def place(open_pool: OpenPool, issue: Issue, alice: User, ada: User) -> Place:
    first, second = open_pool(name="Diwali"), open_pool(name="Holi")
    credits_ = [issue(pool=first) for _ in range(5)]
    _, claimed, expired, changed, both = credits_
    edit_asset.expire_asset(expired.pk, ada)
    for asset in (changed, both):
        edit_asset.update_asset(asset.pk, ada, title="Lamp", total_value=Decimal(7))
    for asset in (claimed, both):
        claim_asset(asset.pk, alice)
    assert verify_everything(connection) == []
    return Place(first, second, *credits_)


def tamper(statement: str) -> None:
    """Run SQL as the tables' owner with the rules of credits off."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE assets_cashbackasset DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE assets_cashbackasset SET {statement}")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SELECT public.harden_triggers()")


def found() -> list[str]:
    """Return what the checker finds, besides the counters of batches (tests/proofs/test_verify.py)."""
    return [text for violation in verify_everything(connection) if not (text := str(violation)).startswith("I5: batch")]


def left(asset: CashbackAsset, what: str) -> str:
    return f"I5: asset {asset.pk} is not as its last change left it: {what}"


def summed(pool: CreditPool, told: str, there: str) -> str:
    return f"I5: pool {pool.pk} in INR: the log adds up to {told}, the table holds {there}"


def told(pool: CreditPool, number: str, status: str, there: str) -> str:
    return f"I5: pool {pool.pk} in INR, generation 1: {number} are {status} by the counters, but {there} exist"


def test_an_expired_credit_that_is_on_offer_again_is_named(place: Place) -> None:
    tamper("status = 'AVAILABLE' WHERE status = 'EXPIRED'")

    assert sorted(found()) == [
        left(place.expired, "AVAILABLE instead of EXPIRED"),
        told(place.first, "1 (100.0000)", "EXPIRED", "0 (0)"),
        told(place.first, "2 (107.0000)", "AVAILABLE", "3 (207.0000)"),
    ]


def test_a_credit_that_nobody_expired_is_named(place: Place) -> None:
    tamper(f"status = 'EXPIRED' WHERE id = '{place.offered.pk}'")

    assert sorted(found()) == [
        f"I5: asset {place.offered.pk} is EXPIRED, but nothing expired it",
        told(place.first, "1 (100.0000)", "EXPIRED", "2 (200.0000)"),
        told(place.first, "2 (107.0000)", "AVAILABLE", "1 (7.0000)"),
    ]


def test_another_value_of_a_credit_on_offer_is_seen_in_its_pool(place: Place) -> None:
    tamper(f"total_value = 999 WHERE id = '{place.offered.pk}'")

    assert found() == [
        summed(place.first, "5 (314.0000)", "5 (1213.0000)"),
        told(place.first, "2 (107.0000)", "AVAILABLE", "2 (1006.0000)"),
    ]


@pytest.mark.parametrize("which", ["offered", "claimed"])
def test_a_credit_in_another_pool_is_seen_in_both(place: Place, which: str) -> None:
    tamper(f"pool_id = '{place.second.pk}' WHERE id = '{getattr(place, which).pk}'")

    both = {summed(place.first, "5 (314.0000)", "4 (214.0000)"), summed(place.second, "0 (0)", "1 (100.0000)")}
    assert both <= set(found())


@pytest.mark.parametrize("which", ["changed", "changed_and_claimed", "expired"])
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("title = 'Forged'", "under another title"),
        ("expires_at = '2040-01-01T00:00Z'", "until 2040-01-01 00:00:00+00 instead of -"),
        ("pool_id = NULL", "in pool - instead of {pool}"),
    ],
)
def test_a_credit_that_was_changed_is_as_it_was_left(place: Place, which: str, statement: str, what: str) -> None:
    asset = getattr(place, which)
    tamper(f"{statement} WHERE id = '{asset.pk}'")

    assert left(asset, what.format(pool=place.first.pk)) in found()


def test_a_value_beside_its_last_change_is_named(place: Place) -> None:
    tamper(f"total_value = 8 WHERE id = '{place.changed.pk}'")

    assert left(place.changed, "8.0000 INR instead of 7.0000 INR") in found()


def test_a_claimed_credit_that_once_expired_is_named(place: Place, alice: User) -> None:
    tamper(f"status = 'CLAIMED', claimed_by_id = '{alice.pk}', claimed_at = now() WHERE id = '{place.expired.pk}'")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id) SELECT"
            " gen_random_uuid(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id"
            " FROM assets_cashbackasset WHERE id = %s",
            [place.expired.pk],
        )

    assert f"I6: asset {place.expired.pk} was claimed and expired" in found()


def test_a_whole_life_done_openly_is_no_harm(place: Place, issue: Issue, alice: User, ada: User) -> None:
    """Changes of value and pool, deletions, sweeps, children of what expired, and SQL typed by hand under the rules."""
    edit_asset.update_asset(place.offered.pk, ada, pool=place.second, total_value=Decimal("0.01"))
    edit_asset.update_asset(place.offered.pk, ada, pool=None)
    edit_asset.update_asset(place.offered.pk, ada, currency="JPY", total_value=Decimal(5))
    edit_asset.delete_asset(place.expired.pk, ada)
    due = issue(pool=place.second, expires_at=timezone.now() + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE assets_cashbackasset SET total_value = 3, pool_id = NULL WHERE id = %s", [place.changed.pk])
        cursor.execute("UPDATE assets_cashbackasset SET expires_at = now() WHERE id = %s", [due.pk])
    expire_assets.expire_due()
    child = recreate_asset.recreate_asset(due.pk, ada, total_value=Decimal(9), expires_at=None)
    claim_asset(child.pk, alice)
    edit_asset.delete_asset(place.changed.pk, ada)

    assert found() == []


def test_changes_from_before_postgresql_kept_them_tie_out_by_what_their_act_said(issue: Issue, open_pool: OpenPool) -> None:
    asset = issue(pool=open_pool())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assets_cashbackassetevent DISABLE TRIGGER USER")
        cursor.execute("SELECT set_config('pghistory.context_id', gen_random_uuid()::text, true)")
        cursor.execute(
            "SELECT set_config('pghistory.context_metadata', %s, true)",
            [f'{{"before": {{"total_value": "100.0000", "pool_id": "{asset.pool_id}"}}}}'],
        )
        cursor.execute("UPDATE assets_cashbackasset SET total_value = 1, pool_id = NULL WHERE id = %s", [asset.pk])
        cursor.execute("UPDATE assets_cashbackassetevent SET before = NULL")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SELECT public.harden_triggers()")

    assert found() == []
