"""Illegal states of the ledger, attempted by manual SQL."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from kernel.transactions import violated_constraint
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def breaks(*statements: str) -> str:
    """Return the rule the statements break together at commit; nothing of them stays."""
    sql("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # what came before is judged apart
    before = list(Entry.objects.values())
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        for statement in statements:
            sql(statement)
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert list(Entry.objects.values()) == before
    return violated_constraint(refusal.value)


@pytest.fixture
def entry(issue: Callable[..., CashbackAsset], alice: User) -> Entry:
    claim_asset(issue().pk, alice)
    return Entry.objects.get()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE ledger_entry SET amount = amount + 1",
        "UPDATE ledger_entry SET user_id = actor_id",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry CASCADE",
        "TRUNCATE assets_cashbackasset CASCADE",
        "INSERT INTO ledger_entry SELECT * FROM ledger_entry ON CONFLICT (id) DO UPDATE SET amount = 1",
        "MERGE INTO ledger_entry e USING ledger_entry f ON e.id = f.id WHEN MATCHED THEN DELETE",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_the_ledger_is_append_only(entry: Entry, attack: str, role: str) -> None:
    assert breaks(f"SET LOCAL session_replication_role = {role}", attack) == "entry_append_only"


def test_no_cascade_empties_the_ledger(entry: Entry) -> None:
    assert breaks("TRUNCATE accounts_user CASCADE") == "issuance_append_only"


def copy_of(entry: Entry, **changes: str) -> str:
    columns = ("id", "kind", "asset_id", "user_id", "amount", "currency", "claimed_at", "actor_id")
    changes = {"id": f"'{uuid4()}'", **changes}
    values = ", ".join(changes.get(column, column) for column in columns)
    return f"INSERT INTO ledger_entry ({', '.join(columns)}) SELECT {values} FROM ledger_entry WHERE id = '{entry.pk}'"


def test_an_asset_has_one_claim_entry(entry: Entry) -> None:
    assert breaks(copy_of(entry)) == "entry_one_claim_per_asset"


def test_an_entry_without_a_claimed_asset_does_not_commit(entry: Entry, issue: Callable[..., CashbackAsset]) -> None:
    assert breaks(copy_of(entry, asset_id=f"'{issue().pk}'")) == "entry_equals_asset"


@pytest.mark.parametrize(
    "lie", [{"amount": "1"}, {"user_id": "BOB"}, {"currency": "'USD'"}, {"claimed_at": "now() - interval '1 day'"}]
)
def test_an_entry_that_differs_from_its_asset_does_not_commit(
    entry: Entry, lie: dict[str, str], issue: Callable[..., CashbackAsset], alice: User, bob: User
) -> None:
    asset = issue()
    lie = {column: value.replace("BOB", f"'{bob.pk}'") for column, value in lie.items()}
    truth = {
        "asset_id": f"'{asset.pk}'",
        "claimed_at": f"(SELECT claimed_at FROM assets_cashbackasset WHERE id = '{asset.pk}')",
    }
    claim = f"UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = '{alice.pk}' WHERE id = '{asset.pk}'"
    assert breaks(claim, copy_of(entry, **truth | lie)) == "entry_equals_asset"


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        ({"kind": "'GIFT'"}, "entry_kind_known"),
        ({"amount": "0"}, "entry_amount_range"),
        ({"amount": "-5"}, "entry_amount_range"),
    ],
)
def test_an_entry_keeps_to_its_words(entry: Entry, lie: dict[str, str], rule: str) -> None:
    assert breaks(copy_of(entry, **lie)) == rule


def test_a_request_key_is_used_once_by_a_user_for_ever(entry: Entry, issue: Callable[..., CashbackAsset], alice: User) -> None:
    rule = breaks(
        *[
            f"UPDATE assets_cashbackasset SET status='CLAIMED', claimed_by_id='{alice.pk}' WHERE id='{asset}';"
            f"INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id, request_key)"
            f" SELECT '{uuid4()}', 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id, 'the-same-key'"
            f" FROM assets_cashbackasset WHERE id='{asset}'"
            for asset in (issue().pk, issue().pk)
        ]
    )
    assert rule == "entry_request_key"
