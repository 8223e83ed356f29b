"""The change history and the issue log: written by PostgreSQL, append-only, with actor and channel."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pghistory
import pytest
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction

from accounts.models import User
from cashback.database.roles import APP_ROLE
from kernel.transactions import violated_constraint
from wallet.actions import edit_asset, edit_pool, issue_assets
from wallet.actions.claim import claim_asset
from wallet.assets.change_context import acting_through_channel
from wallet.assets.models import CashbackAsset, CreditPool, Issuance

PoolEvent: Any = CreditPool.pgh_event_model  # type: ignore[attr-defined]
AssetEvent: Any = CashbackAsset.pgh_event_model  # type: ignore[attr-defined]
CREDIT: dict[str, Any] = {"title": "Cashback", "total_value": Decimal(10)}


def test_pool_history_begins_with_its_opening(open_pool: Callable[..., CreditPool], ada: User) -> None:
    with acting_through_channel("admin"):
        pool = open_pool(per_user_limit=1)
        edit_pool.update_pool(pool.pk, ada, per_user_limit=2)

    trail = [(e.pgh_label, e.per_user_limit, e.pgh_context.metadata["channel"]) for e in PoolEvent.objects.order_by("pgh_id")]
    assert trail == [("insert", 1, "admin"), ("update", 2, "admin")]


def test_issue_log_has_one_row_per_statement(open_pool: Callable[..., CreditPool], ada: User) -> None:
    pool = open_pool()

    with acting_through_channel("api"):
        issue_assets.issue_many(ada, pool, count=7_000, **CREDIT)

    batches = Issuance.objects.order_by("id").values_list("pool", "currency", "created_by", "channel", "count", "value")
    assert list(batches) == [(pool.pk, "INR", ada.pk, "api", 5_000, 50_000), (pool.pk, "INR", ada.pk, "api", 2_000, 20_000)]


def test_issue_by_raw_sql_is_logged(db: None) -> None:
    CashbackAsset.objects.bulk_create(CashbackAsset(currency="INR", **CREDIT) for _ in range(3))

    (batch,) = Issuance.objects.all()
    assert (batch.pool, batch.created_by, batch.channel, batch.count, batch.value) == (None, None, "sql", 3, 30)


def test_deletion_records_the_deleted_row(issue: Callable[..., CashbackAsset], ada: User) -> None:
    asset = issue()

    with acting_through_channel("admin"):
        edit_asset.delete_asset(asset.pk, ada)

    event = AssetEvent.objects.get()
    assert (event.pgh_label, event.pgh_obj_id, event.title, event.total_value) == ("delete", asset.pk, "Welcome bonus", 100)
    assert event.pgh_context.metadata == {
        "action": "delete",
        "channel": "admin",
        "user": str(ada.pk),
        "email": "ada@example.com",
    }


def test_change_records_the_exact_values_before(issue: Callable[..., CashbackAsset], ada: User) -> None:
    asset = issue(total_value=Decimal("123456789.01"))

    edit_asset.update_asset(asset.pk, ada, total_value=Decimal("0.10"), title="Lamp")

    event = AssetEvent.objects.get()
    assert (event.title, event.total_value) == ("Lamp", Decimal("0.10"))
    assert event.before == {
        "title": "Welcome bonus",
        "total_value": "123456789.0100",
        "currency": "INR",
        "pool_id": None,
        "expires_at": None,
    }


def test_expiry_records_no_values_before(issue: Callable[..., CashbackAsset], ada: User) -> None:
    edit_asset.expire_asset(issue().pk, ada)

    event = AssetEvent.objects.get()
    assert (event.status, event.before) == ("EXPIRED", None)


def test_claim_leaves_no_row_in_the_change_history(issue: Callable[..., CashbackAsset], alice: User) -> None:
    claim_asset(issue().pk, alice)

    assert AssetEvent.objects.count() == 0


@pytest.mark.parametrize("table", ["assets_creditpoolevent", "assets_cashbackassetevent", "assets_issuance"])
@pytest.mark.parametrize("attack", ["UPDATE {} SET currency = 'USD'", "DELETE FROM {}", "TRUNCATE {}"])
def test_change_history_and_issue_log_are_append_only(
    open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], ada: User, table: str, attack: str
) -> None:
    edit_asset.expire_asset(issue(pool=open_pool()).pk, ada)

    with pytest.raises(DatabaseError, match=r"append-only|Cannot (update|delete)"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(attack.format(table))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "attack",
    [
        """UPDATE pghistory_context SET metadata = metadata || '{"email": "innocent@example.com", "channel": "scheduler"}'""",
        "UPDATE pghistory_context SET metadata = metadata",
        "UPDATE pghistory_context SET created_at = now(), metadata = '{}'",
        "INSERT INTO pghistory_context SELECT * FROM pghistory_context ON CONFLICT (id) DO UPDATE SET metadata = '{}'",
        "DELETE FROM pghistory_context",
        "TRUNCATE pghistory_context",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_context_of_a_committed_change_is_immutable(
    issue: Callable[..., CashbackAsset], ada: User, attack: str, role: str
) -> None:
    edit_asset.expire_asset(issue().pk, ada)

    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(attack)

    assert violated_constraint(refusal.value) == "context_append_only"
    assert AssetEvent.objects.get().pgh_context.metadata["email"] == "ada@example.com"


@pytest.mark.django_db(transaction=True)
def test_application_role_cannot_update_contexts(issue: Callable[..., CashbackAsset], ada: User) -> None:
    edit_asset.expire_asset(issue().pk, ada)

    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {APP_ROLE}; UPDATE pghistory_context SET metadata = '{{}}'")


def test_created_at_of_a_context_cannot_change_in_its_own_transaction(issue: Callable[..., CashbackAsset], ada: User) -> None:
    edit_asset.expire_asset(issue().pk, ada)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE pghistory_context SET created_at = now() + interval '1 hour'")


@pytest.mark.django_db(transaction=True)
def test_context_grows_within_its_transaction(issue: Callable[..., CashbackAsset]) -> None:
    first, second = issue(), issue()

    with transaction.atomic(), pghistory.context(action="first"):
        CashbackAsset.objects.filter(pk=first.pk).update(title="Lamp")
        with pghistory.context(more="second"):
            CashbackAsset.objects.filter(pk=second.pk).update(title="Candle")

    assert [event.pgh_context.metadata for event in AssetEvent.objects.all()] == [{"action": "first", "more": "second"}] * 2


def test_change_history_has_no_unused_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [AssetEvent._meta.db_table])
        columns = {row[0].rpartition("(")[2].rstrip(")") for row in cursor.fetchall()}

    # A row; the trail of one credit; a period; what one act changed; one pool's; the feed of events. A sweep writes into each,
    # for every row.
    assert columns == {"pgh_id", "pgh_obj_id", "pgh_created_at", "pgh_context_id", "pool_id", "xid, pgh_id"}
