"""Illegal states of the wallet as money, attempted by SQL: as the application's role, or as a superuser."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts.models import User
from accounts.services import Service
from cashback.database.roles import APP_ROLE
from kernel.transactions import violated_constraint
from tests.ledger.roles import become, sql
from tests.money.conftest import end_credit, end_hold, money
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.payment_answers import Answer
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, LotBackfill, Payment

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]
TABLES = ("movement", "posting", "lot", "payment", "allocation", "grant", "lotbackfill")
ANOTHER_USER = "'00000000-0000-7000-8000-000000000001'"


def movement(lot: Lot, kind: str, shop: Service, **changes: Any) -> tuple[UUID, str]:
    """Return the id of a new movement of the lot's wallet and the SQL that inserts it; `changes` are SQL."""
    identity = uuid4()
    values: dict[str, str] = {
        "id": f"'{identity}'",
        "kind": f"'{kind}'",
        "user_id": f"'{lot.user_id}'",
        "currency": f"'{lot.currency}'",
        "amount": "10",
        "channel": "'sql'",
    }
    if kind in ("HOLD", "SPEND"):
        values |= {"payment_id": f"'{identity}'", "service_id": f"'{shop.pk}'", "reference": f"'{identity}'"}
    if kind == "HOLD":
        values["held_until"] = "clock_timestamp() + interval '5 minutes'"
    if kind in ("LAPSE", "CLAWBACK", "EXTEND"):
        values |= {"claim_id": f"'{lot.pk}'", "reason": "'test'"}
    if kind == "CLAWBACK":
        values["shortfall"] = "0"
    values |= changes
    return identity, f"INSERT INTO ledger_movement ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def posting(identity: UUID, lot: Lot, amount: str = "10", position: int = 1, until: str = "NULL") -> str:
    return (
        "INSERT INTO ledger_posting (movement_id, position, lot_id, amount, spendable_until)"
        f" VALUES ('{identity}', {position}, '{lot.pk}', {amount}, {until})"
    )


def of_payment(payment_id: UUID, kind: str) -> dict[str, str]:
    """Return the columns of a movement that goes on with a payment."""
    payment = Payment.objects.get(pk=payment_id)
    columns = {"payment_id": f"'{payment_id}'", "service_id": f"'{payment.service_id}'"}
    return columns | ({"reference": f"'{uuid4()}'", "reason": "'test'"} if kind == "REFUND" else {})


def breaks(*statements: str, role: str = APP_ROLE) -> str:
    """Return the rule that the statements break together, at the latest at commit; nothing of them stays."""
    before = money()
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        become(role)
        for statement in statements:
            sql(statement)
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert money() == before
    return violated_constraint(refusal.value)


def commits(*statements: str) -> None:
    with transaction.atomic():
        become(APP_ROLE)
        for statement in statements:
            sql(statement)


# --- Facts are append-only, states are PostgreSQL's -----------------------------------------------------------------------


@pytest.mark.parametrize("attack", ["UPDATE ledger_{0} SET {1} = {1}", "DELETE FROM ledger_{0}", "TRUNCATE ledger_{0} CASCADE"])
@pytest.mark.parametrize("table", TABLES)
def test_the_application_changes_no_row_of_money(credit: Credit, spend: Spend, table: str, attack: str) -> None:
    credit("100")
    spend("10")
    column = {"posting": "amount", "grant": "reason", "lotbackfill": "opened", "movement": "amount"}.get(table, "currency")
    if table == "allocation":
        column = "amount"
    before = money()
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        become(APP_ROLE)
        sql(attack.format(table, column))
    assert money() == before


@pytest.mark.parametrize("table", ["lot", "payment", "allocation"])
def test_the_application_inserts_no_state(credit: Credit, spend: Spend, table: str) -> None:
    credit("100")
    spend("10")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        become(APP_ROLE)
        sql(f"INSERT INTO ledger_{table} DEFAULT VALUES")


@pytest.mark.parametrize("column", ["number", "at", "xid"])
def test_the_application_sets_no_number_time_or_transaction(credit: Credit, shop: Service, column: str) -> None:
    _, insert = movement(credit("100"), "SPEND", shop, **{column: "DEFAULT"})
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        become(APP_ROLE)
        sql(insert)


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    ("attack", "rule"),
    [
        ("UPDATE ledger_movement SET amount = amount + 1", "movement_append_only"),
        ("DELETE FROM ledger_movement", "movement_append_only"),
        ("TRUNCATE ledger_movement CASCADE", "movement_append_only"),
        ("UPDATE ledger_posting SET amount = amount + 1", "posting_append_only"),
        ("DELETE FROM ledger_posting", "posting_append_only"),
        ("TRUNCATE ledger_posting", "posting_append_only"),
        ("DELETE FROM ledger_lot", "lot_kept"),
        ("TRUNCATE ledger_lot", "lot_kept"),
        ("DELETE FROM ledger_payment", "payment_kept"),
        ("TRUNCATE ledger_payment", "payment_kept"),
        ("DELETE FROM ledger_allocation", "allocation_kept"),
        ("TRUNCATE ledger_allocation", "allocation_kept"),
    ],
)
def test_the_owner_rewrites_nothing_either(credit: Credit, spend: Spend, attack: str, rule: str, role: str) -> None:
    credit("100")
    spend("10")

    assert breaks(f"SET LOCAL session_replication_role = {role}", attack, role="superuser") == rule


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("available = available + 1", "lot_adds_up"),
        ("available = -1, spent = spent + available + 1", "lot_available"),
        ("held = -1, available = available + 1", "lot_held"),
        ("spent = -1, available = available + spent + 1", "lot_spent"),
        ("lapsed = -1, available = available + 1", "lot_lapsed"),
        ("clawed_back = -1, available = available + 1", "lot_clawed_back"),
        ("clawback_due = 1", "lot_clawback_due"),
    ],
)
def test_a_lot_adds_up_for_sql_typed_by_the_owner_too(credit: Credit, spend: Spend, change: str, rule: str) -> None:
    credit("100")
    spend("10")

    assert breaks(f"UPDATE ledger_lot SET {change}", role="superuser") == rule


@pytest.mark.parametrize(
    ("table", "change", "rule"),
    [
        ("payment", "captured = captured + 1", "payment_adds_up"),
        ("payment", "refunded = captured + 1", "payment_refunded"),
        ("payment", "held = -1, captured = captured + 1", "payment_adds_up"),
        ("allocation", "captured = captured + 1", "allocation_adds_up"),
        ("allocation", "refunded = captured + 1", "allocation_refunded"),
    ],
)
def test_a_payment_adds_up_for_sql_typed_by_the_owner_too(
    credit: Credit, spend: Spend, table: str, change: str, rule: str
) -> None:
    credit("100")
    spend("10")

    assert breaks(f"UPDATE ledger_{table} SET {change}", role="superuser") == rule


# --- Movements ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SPEND", "HOLD"])
def test_a_movement_typed_by_hand_under_the_rules_is_no_harm(credit: Credit, shop: Service, kind: str) -> None:
    lot = credit("100")
    identity, insert = movement(lot, kind, shop)

    commits(insert, posting(identity, lot))

    lot.refresh_from_db()
    assert lot.available == 90
    assert Payment.objects.get().amount == 10


@pytest.mark.parametrize(
    ("kind", "changes", "rule"),
    [
        ("GIFT", {"claim_id": "LOT"}, "movement_kind_known"),
        ("SPEND", {"amount": "0"}, "movement_amount_range"),
        ("SPEND", {"amount": "-10"}, "movement_amount_range"),
        ("SPEND", {"amount": "10.001"}, "movement_amount_scale"),
        ("SPEND", {"currency": "'XXX'"}, "movement_currency_known"),
        ("SPEND", {"service_id": "NULL"}, "movement_of_payment_or_claim"),
        ("SPEND", {"claim_id": "LOT"}, "movement_of_payment_or_claim"),
        ("SPEND", {"held_until": "now() + interval '1 hour'"}, "movement_hold_ends"),
        ("HOLD", {"held_until": "NULL"}, "movement_hold_ends"),
        ("HOLD", {"held_until": "now() - interval '1 second'"}, "movement_hold_bounded"),
        ("HOLD", {"held_until": "now() + interval '31 days'"}, "movement_hold_bounded"),
        ("HOLD", {"held_until": "'infinity'"}, "movement_hold_bounded"),
        ("SPEND", {"reference": "NULL"}, "movement_reference_given"),
        ("SPEND", {"reference": "''"}, "movement_reference_given"),
        ("SPEND", {"reference": "' x'"}, "movement_reference_given"),
        ("SPEND", {"reference": "'x' || chr(10)"}, "movement_reference_given"),
        ("SPEND", {"order_total": "0"}, "movement_order_total_positive"),
        ("SPEND", {"shortfall": "1"}, "movement_shortfall_of_clawback"),
        ("SPEND", {"payment_id": "gen_random_uuid()"}, "movement_begins_payment"),
        ("CLAWBACK", {"reason": "NULL"}, "movement_reason_given"),
        ("EXTEND", {"reason": "''"}, "movement_reason_given"),
        ("LAPSE", {}, "lot_not_ended"),
        ("CLAWBACK", {"claim_id": "gen_random_uuid()"}, "movement_of_claim"),
    ],
)
def test_a_movement_keeps_to_its_form(credit: Credit, shop: Service, kind: str, changes: dict[str, str], rule: str) -> None:
    lot = credit("100")
    changes = {name: value.replace("LOT", f"'{lot.pk}'") for name, value in changes.items()}
    identity, insert = movement(lot, kind, shop, **changes)

    assert breaks(insert, posting(identity, lot)) == rule


def test_a_movement_is_the_sum_of_its_postings(credit: Credit, shop: Service) -> None:
    lot = credit("100")
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert) == "movement_whole"
    assert breaks(insert, posting(identity, lot, "9.99")) == "movement_whole"


def test_a_closed_account_pays_nothing(credit: Credit, shop: Service, alice: User) -> None:
    lot = credit("100")
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert breaks(movement(lot, "SPEND", shop)[1]) == "wallet_closed"


@pytest.mark.parametrize("kind", ["CAPTURE", "RELEASE", "REFUND"])
def test_another_wallets_or_services_payment_is_not_moved(
    *, credit: Credit, hold: Hold, shop: Service, other_shop: Service, bob: User, kind: str
) -> None:
    lot, payment = credit("100"), hold("10")
    others = credit("100", user=bob)
    columns = of_payment(payment, kind)

    assert breaks(movement(others, kind, shop, **columns)[1]) == "movement_of_payment"
    columns["service_id"] = f"'{other_shop.pk}'"
    assert breaks(movement(lot, kind, shop, **columns)[1]) == "movement_of_payment"


def test_an_ended_hold_is_not_captured(credit: Credit, hold: Hold, shop: Service) -> None:
    lot, payment = credit("100"), hold("10")
    end_hold(payment)

    assert breaks(movement(lot, "CAPTURE", shop, **of_payment(payment, "CAPTURE"))[1]) == "payment_hold_over"


def test_a_live_reference_begins_one_payment(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    spend("10", reference="order-1")
    identity, insert = movement(lot, "SPEND", shop, reference="'order-1'")

    assert breaks(insert, posting(identity, lot)) == "payment_reference"


def test_a_refunds_reference_is_used_once(credit: Credit, spend: Spend, shop: Service) -> None:
    lot, payment = credit("100"), UUID(spend("100").body["id"])
    columns = of_payment(payment, "REFUND")
    identity, insert = movement(lot, "REFUND", shop, **columns)
    commits(insert, posting(identity, lot))

    assert breaks(movement(lot, "REFUND", shop, **columns)[1]) == "movement_refund_reference"


# --- Postings ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SPEND", "HOLD"])
def test_more_than_is_available_is_not_drawn(credit: Credit, shop: Service, kind: str) -> None:
    lot = credit("100")
    identity, insert = movement(lot, kind, shop, amount="100.01")

    assert breaks(insert, posting(identity, lot, "100.01")) == "lot_available"


def test_a_lot_bears_one_posting_of_a_movement(credit: Credit, shop: Service) -> None:
    lot = credit("100")
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, f"{posting(identity, lot, '5')}, ('{identity}', 2, '{lot.pk}', 5, NULL)") == "posting_one_per_lot"


@pytest.mark.parametrize("position", [0, 501])
def test_a_movement_has_at_most_500_postings(credit: Credit, shop: Service, position: int) -> None:
    lot = credit("100")
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, posting(identity, lot, position=position)) == "posting_position_bounded"


def test_nothing_is_posted_to_a_movement_of_an_earlier_transaction(credit: Credit, spend: Spend) -> None:
    first, second = credit("10"), credit("10")
    payment = UUID(spend("10").body["id"])
    assert first.pk != second.pk

    assert breaks(posting(payment, second, position=2)) == "posting_own_movement"


def test_another_users_credit_is_not_drawn(credit: Credit, shop: Service, bob: User) -> None:
    lot, others = credit("100"), credit("100", user=bob)
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, posting(identity, others)) == "posting_own_lot"


def test_a_credit_of_another_currency_is_not_drawn(credit: Credit, shop: Service) -> None:
    lot, yen = credit("100"), credit("100", currency="JPY")
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, posting(identity, yen)) == "posting_own_lot"


@pytest.mark.parametrize("kind", ["SPEND", "HOLD"])
def test_an_ended_credit_is_not_drawn(credit: Credit, shop: Service, kind: str) -> None:
    lot = credit("100")
    end_credit(lot)
    identity, insert = movement(lot, kind, shop)

    assert breaks(insert, posting(identity, lot)) == "posting_lot_spendable"


def test_a_pending_credit_is_not_drawn(credit: Credit, open_pool: Callable[..., CreditPool], shop: Service) -> None:
    lot = credit("100", pool=open_pool(pending_for="7 days"))
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, posting(identity, lot)) == "posting_lot_spendable"


def test_a_credit_of_another_service_is_not_drawn(
    credit: Credit, open_pool: Callable[..., CreditPool], shop: Service, other_shop: Service
) -> None:
    lot = credit("100", pool=open_pool(service=other_shop))
    identity, insert = movement(lot, "SPEND", shop)

    assert breaks(insert, posting(identity, lot)) == "posting_lot_spendable"


@pytest.mark.parametrize(("kind", "rule"), [("CAPTURE", "lot_held"), ("RELEASE", "lot_held"), ("REFUND", "lot_spent")])
def test_no_more_is_captured_released_or_refunded_than_was_held(
    credit: Credit, hold: Hold, shop: Service, kind: str, rule: str
) -> None:
    lot, payment = credit("100"), hold("10")
    identity, insert = movement(lot, kind, shop, amount="11", **of_payment(payment, kind))

    assert breaks(insert, posting(identity, lot, "11")) == rule


def test_one_payment_does_not_release_what_another_holds(credit: Credit, hold: Hold, shop: Service) -> None:
    lot, first = credit("100"), hold("10")
    hold("50")
    identity, insert = movement(lot, "RELEASE", shop, amount="11", **of_payment(first, "RELEASE"))

    assert breaks(insert, posting(identity, lot, "11")) == "allocation_adds_up"


def test_a_refund_goes_to_a_lot_that_bore_the_payment(credit: Credit, spend: Spend, shop: Service) -> None:
    first, second = credit("10"), credit("10")
    spend("10"), spend("10")
    payment = Payment.objects.order_by("began_at")[0]
    identity, insert = movement(second, "REFUND", shop, **of_payment(payment.pk, "REFUND"))
    assert first.pk != second.pk

    assert breaks(insert, posting(identity, second)) == "posting_of_allocation"


def test_what_comes_back_to_a_clawed_back_credit_is_taken_in_the_same_transaction(
    credit: Credit, hold: Hold, shop: Service, ada: User
) -> None:
    lot, payment = credit("100"), hold("10")
    clawback_credit(lot.pk, actor=ada, reason="fraud")
    identity, insert = movement(lot, "RELEASE", shop, **of_payment(payment, "RELEASE"))

    assert breaks(insert, posting(identity, lot)) == "lot_taken_back"
    assert release_payment(payment, service=shop).status_code == 201


def test_a_clawback_takes_no_more_than_the_claim(credit: Credit, shop: Service) -> None:
    lot = credit("100")
    _, insert = movement(lot, "CLAWBACK", shop, shortfall="90.01")

    assert breaks(insert) == "lot_clawback_due"


@pytest.mark.parametrize("kind", ["CLAWBACK", "LAPSE"])
def test_a_change_of_a_claim_takes_from_its_own_lot(credit: Credit, shop: Service, kind: str) -> None:
    lot, other = credit("100"), credit("100")
    end_credit(lot)
    identity, insert = movement(lot, kind, shop)

    assert breaks(insert, posting(identity, other)) == "posting_of_claim"


@pytest.mark.parametrize("until", ["NULL", "now()", "now() + interval '1 day'"])
def test_an_end_moves_only_later(credit: Credit, open_pool: Callable[..., CreditPool], shop: Service, until: str) -> None:
    lot = credit("100", pool=open_pool(valid_for="2 days"))
    identity, insert = movement(lot, "EXTEND", shop, amount="100")

    assert breaks(insert, posting(identity, lot, "100", until=until)) == "posting_new_end"


@pytest.mark.parametrize("kind", ["SPEND", "HOLD"])
def test_a_payment_moves_no_end(credit: Credit, open_pool: Callable[..., CreditPool], shop: Service, kind: str) -> None:
    lot = credit("100", pool=open_pool(valid_for="2 days"))
    identity, insert = movement(lot, kind, shop)

    assert breaks(insert, posting(identity, lot, until="now() + interval '9 days'")) == "posting_new_end"


def test_a_refund_renews_no_longer_than_the_grace(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = UUID(spend("100").body["id"])
    end_credit(lot)
    identity, insert = movement(lot, "REFUND", shop, **of_payment(payment, "REFUND"))

    assert breaks(insert, posting(identity, lot, until="now() + interval '15 days'")) == "posting_new_end"


# --- Claims and their lots ---------------------------------------------------------------------------------------------


def test_a_claim_says_when_it_can_be_spent_as_its_credit_does(
    credit: Credit, open_pool: Callable[..., CreditPool], issue: Callable[..., Any], alice: User
) -> None:
    assert credit().spendable_until is None
    asset = issue(pool=open_pool(valid_for="2 days"))
    owner = f"status = 'CLAIMED', claimed_by_id = '{alice.pk}'"
    claim = f"UPDATE assets_cashbackasset SET {owner} WHERE id = '{asset.pk}'"
    entry = (
        "INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, spendable_until, actor_id)"
        " SELECT gen_random_uuid(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, NULL, claimed_by_id"
        f" FROM assets_cashbackasset WHERE id = '{asset.pk}'"
    )

    assert breaks(claim, entry) == "entry_equals_asset"


def test_nothing_is_paid_while_lots_are_being_opened(credit: Credit, shop: Service) -> None:
    lot = credit("100")
    LotBackfill.objects.create(id=1)

    assert breaks(movement(lot, "SPEND", shop)[1]) == "lots_incomplete"


def test_no_setting_of_a_session_lifts_a_rule(credit: Credit, shop: Service) -> None:
    lot = credit("100")
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(tgname)::text FROM pg_trigger WHERE NOT tgisinternal")
        (names,) = cursor.fetchone()
    identity, insert = movement(lot, "SPEND", shop, amount="100.01")

    assert breaks(f"SET LOCAL pgtrigger.ignore = '{names}'", insert, posting(identity, lot, "100.01")) == "lot_available"
