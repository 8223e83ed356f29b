"""The trail of what operators did: written by PostgreSQL, never altered, with the door named."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import User
from wallet import changing, issuing, pools
from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.trace import through

PoolEvent: Any = CreditPool.pgh_event_model  # type: ignore[attr-defined]
AssetEvent: Any = CashbackAsset.pgh_event_model  # type: ignore[attr-defined]
CREDIT: dict[str, Any] = {"title": "Cashback", "total_value": Decimal(10)}


def test_a_pool_is_traced_from_its_opening_on(open_pool: Callable[..., CreditPool], ada: User) -> None:
    with through("admin"):
        pool = open_pool(per_user_limit=1)
        pools.update_pool(pool.pk, ada, per_user_limit=2)

    trail = [(e.pgh_label, e.per_user_limit, e.pgh_context.metadata["door"]) for e in PoolEvent.objects.order_by("pgh_id")]
    assert trail == [("insert", 1, "admin"), ("update", 2, "admin")]


def test_what_is_issued_is_logged_per_statement(open_pool: Callable[..., CreditPool], ada: User) -> None:
    pool = open_pool()

    with through("api"):
        issuing.issue_many(ada, pool, count=7_000, **CREDIT)

    batches = Issuance.objects.order_by("id").values_list("pool", "currency", "created_by", "door", "count", "value")
    assert list(batches) == [(pool.pk, "INR", ada.pk, "api", 5_000, 50_000), (pool.pk, "INR", ada.pk, "api", 2_000, 20_000)]


def test_what_is_issued_by_hand_is_logged_too(db: None) -> None:
    CashbackAsset.objects.bulk_create(CashbackAsset(currency="INR", **CREDIT) for _ in range(3))

    (batch,) = Issuance.objects.all()
    assert (batch.pool, batch.created_by, batch.door, batch.count, batch.value) == (None, None, "sql", 3, 30)


def test_a_deletion_keeps_what_was_deleted(issue: Callable[..., CashbackAsset], ada: User) -> None:
    asset = issue()

    with through("admin"):
        changing.delete(asset.pk, ada)

    event = AssetEvent.objects.get()
    assert (event.pgh_label, event.pgh_obj_id, event.title, event.total_value) == ("delete", asset.pk, "Welcome bonus", 100)
    assert event.pgh_context.metadata == {
        "act": "delete",
        "door": "admin",
        "user": str(ada.pk),
        "email": "ada@example.com",
    }


@pytest.mark.parametrize("table", ["assets_creditpoolevent", "assets_cashbackassetevent", "assets_issuance"])
@pytest.mark.parametrize("attack", ["UPDATE {} SET currency = 'USD'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_trail_is_append_only(
    open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], ada: User, table: str, attack: str
) -> None:
    changing.expire(issue(pool=open_pool()).pk, ada)

    with pytest.raises(DatabaseError, match=r"append-only|Cannot (update|delete)"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(attack.format(table))


def test_each_index_of_the_history_of_credits_answers_somebody(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [AssetEvent._meta.db_table])
        columns = {row[0].rpartition("(")[2].rstrip(")") for row in cursor.fetchall()}

    # A row; the trail of one credit; a period; what one act changed; one pool's. A sweep writes into each, for every row.
    assert columns == {"pgh_id", "pgh_obj_id", "pgh_created_at", "pgh_context_id", "pool_id"}
