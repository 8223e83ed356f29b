"""Batches: every issue has one, and its figures come from counters."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from wallet.actions import claim, demo_data, edit_asset, issue_assets, recreate_asset, seal_ledger
from wallet.assets.batches import Batch, BatchHeader, BatchSupply
from wallet.assets.change_context import acting_through_channel
from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.ledger.idempotency import IdempotentRequest
from wallet.queries import batches

OpenPool = Callable[..., CreditPool]
pytestmark = pytest.mark.django_db(transaction=True)


def issue(ada: User, pool: CreditPool, count: int = 5, **fields: Any) -> Batch:
    """Issue equal credits in a pool and return their batch."""
    values: Any = {"title": "Lamp", "total_value": Decimal("2.50")} | fields
    request = IdempotentRequest(ada, "issue", uuid4().hex, "x")
    with acting_through_channel("api"):
        issued = issue_assets.issue_in_pool(ada, pool.pk, count=count, request=request, **values)
    return Batch.objects.get(pk=str(issued.batch))


def test_issue_in_a_pool_is_one_batch_with_title_channel_and_totals(ada: User, open_pool: OpenPool) -> None:
    batch = issue(ada, open_pool(), count=12_000)

    assert (batch.title, batch.channel, batch.created_by, batch.file_digest) == ("Lamp", "api", ada, "")
    totals = Batch.objects.with_totals().get(pk=batch.pk).totals
    assert totals == [{"currency": "INR", "n": 12_000, "v": "30000.0000"}]
    assert CashbackAsset.objects.in_batch(batch).count() == CashbackAsset.objects.filter(batch=batch).count() == 12_000
    assert Issuance.objects.filter(batch=batch).count() == 3


def test_single_issue_and_recreation_have_a_batch(ada: User) -> None:
    asset = issue_assets.issue_asset(ada, title="Tea", total_value=Decimal(1), currency="INR")
    edit_asset.expire_asset(asset.pk, ada)
    child = recreate_asset.recreate_asset(asset.pk, ada)

    assert [str(asset.batch), str(child.batch)] == ["Tea", "Tea"]
    assert asset.batch != child.batch


def test_assets_recreated_together_share_a_batch(ada: User) -> None:
    header = BatchHeader("Recreated")
    parents = [issue_assets.issue_asset(ada, title="Tea", total_value=Decimal(1), currency="INR") for _ in range(3)]
    for parent in parents:
        edit_asset.expire_asset(parent.pk, ada)
    children = [recreate_asset.recreate_asset(parent.pk, ada, batch=header) for parent in parents]

    assert {child.batch_id for child in children} == {header.id}
    assert CashbackAsset.objects.in_batch(Batch.objects.get(title="Recreated")).count() == 3


def test_demo_data_has_batches() -> None:
    demo_data.create_demo_data(lambda email: "correct horse battery")

    assert not CashbackAsset.objects.filter(batch=None).exists()


def test_batch_of_an_asset_never_changes_and_a_batch_is_append_only(ada: User, open_pool: OpenPool) -> None:
    batch, other = issue(ada, open_pool()), issue(ada, open_pool(name="Holi"))

    for statement in (
        "UPDATE assets_cashbackasset SET batch_id = %s",
        "UPDATE assets_batch SET title = 'x' WHERE id = %s",
        "DELETE FROM assets_batch WHERE id = %s",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [other.pk])
    assert CashbackAsset.objects.filter(batch=batch).count() == 5


def test_credits_inserted_by_manual_sql_in_an_unknown_batch_get_its_row(open_pool: OpenPool) -> None:
    pool, batch_id = open_pool(), uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, pool_id, batch_id)"
            " VALUES (%s, 'Lamp', 1, 'INR', 'AVAILABLE', 1, %s, %s)",
            [uuid4(), pool.pk, batch_id],
        )

    assert Batch.objects.values_list("channel", "title").get(pk=batch_id) == ("sql", "")


@pytest.mark.parametrize("sealed", [False, True])
def test_supply_of_a_batch_is_exact_before_and_after_a_seal(ada: User, alice: User, open_pool: OpenPool, sealed: bool) -> None:
    batch = issue(ada, open_pool(per_user_limit=None))
    issue(ada, CreditPool.objects.get())
    first, second, third, *_ = CashbackAsset.objects.in_batch(batch).order_by("pk")
    claim.claim_asset(first.pk, alice)
    edit_asset.expire_asset(second.pk, ada)
    edit_asset.delete_asset(third.pk, ada)
    if sealed:
        seal_ledger.seal_all()
        assert BatchSupply.objects.filter(batch=batch).exists()

    assert batches.batch_supply(batch) == [
        {
            "currency": "INR",
            "issued": (5, Decimal("12.50")),
            "scheduled": (0, Decimal(0)),
            "available": (2, Decimal("5.00")),
            "claimed": (1, Decimal("2.50")),
            "expired": (1, Decimal("2.50")),
            "deleted": (1, Decimal("2.50")),
        }
    ]
