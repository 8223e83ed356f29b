"""What happened writes what is due in its own transaction: once per rule, through any interface and by manual SQL."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import Role, User
from accounts.services import Service
from kernel.transactions import violated_constraint
from tests.concurrency import at_once
from tests.ledger.roles import become, sql
from tests.programme.conftest import Invite, OpenRule, Pay
from wallet.actions import edit_rule
from wallet.actions.capture_payment import capture_payment
from wallet.actions.pay import pay
from wallet.ledger.models import Grant
from wallet.programme.models import GrantDue, GrantRule, Referral

pytestmark = pytest.mark.django_db


def due_to(user: User) -> list[GrantRule]:
    return [due.rule for due in GrantDue.objects.filter(user=user).order_by("pk")]


def test_registration_makes_a_credit_due_once_per_active_rule(open_rule: OpenRule, ada: User) -> None:
    first, second = open_rule("REGISTERED"), open_rule("REGISTERED")
    edit_rule.update_rule(open_rule("REGISTERED").pk, ada, is_active=False)

    alice = User.objects.create_user("alice@example.com", "x")

    assert due_to(alice) == [first, second]
    assert set(GrantDue.objects.values_list("reference", flat=True)) == {alice.pk}


def test_a_user_inserted_by_manual_sql_is_counted_too(open_rule: OpenRule) -> None:
    rule = open_rule("REGISTERED")

    sql(
        "INSERT INTO accounts_user (id, email, password, role, is_active, is_superuser)"
        " VALUES (gen_random_uuid(), 'typed@example.com', '!', 'USER', true, false)"
    )

    assert due_to(User.objects.get(email="typed@example.com")) == [rule]


def test_an_operator_who_is_created_gets_nothing(open_rule: OpenRule) -> None:
    open_rule("REGISTERED")

    User.objects.create_user("new@example.com", "x", role=Role.ADMIN)

    assert not GrantDue.objects.exists()


def test_an_event_before_the_rule_counts_for_nothing(open_rule: OpenRule, alice: User, pay_once: Pay) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    pay_once(alice)

    for event in ("REGISTERED", "EMAIL_VERIFIED", "FIRST_PAYMENT"):
        open_rule(event)
    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    pay_once(alice)

    assert not GrantDue.objects.exists()


def test_verification_makes_a_credit_due_once_however_often_it_happens(open_rule: OpenRule, alice: User) -> None:
    rule = open_rule("EMAIL_VERIFIED")
    assert due_to(alice) == []

    for verified_at in (timezone.now(), None, timezone.now()):
        User.objects.filter(pk=alice.pk).update(email_verified_at=verified_at)

    assert due_to(alice) == [rule]


def test_what_is_rolled_back_makes_nothing_due(open_rule: OpenRule, alice: User) -> None:
    open_rule("EMAIL_VERIFIED")

    with transaction.atomic():
        User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
        transaction.set_rollback(True)

    assert not GrantDue.objects.exists()


def test_the_first_captured_payment_counts_and_no_hold_or_later_payment(
    open_rule: OpenRule, alice: User, shop: Service, pay_once: Pay
) -> None:
    rule = open_rule("FIRST_PAYMENT")
    held = pay_once(alice, capture=False)
    assert due_to(alice) == []

    capture_payment(UUID(held.body["id"]), shop)
    pay_once(alice)

    assert due_to(alice) == [rule]


def test_a_minimum_counts_the_first_payment_that_reaches_it_in_its_currency(
    open_rule: OpenRule, alice: User, shop: Service, pay_once: Pay, credit: Callable[..., object]
) -> None:
    rule = open_rule("FIRST_PAYMENT", minimum_amount=Decimal(20), currency="INR")
    credit("100", currency="USD")
    pay(alice, shop, currency="USD", amount=Decimal(50), reference="dollars", capture=True)
    pay_once(alice, "19.99")
    assert due_to(alice) == []

    pay_once(alice, "20")
    pay_once(alice, "30")

    assert due_to(alice) == [rule]


def test_captures_in_parts_reach_the_minimum_together(open_rule: OpenRule, alice: User, shop: Service, pay_once: Pay) -> None:
    rule = open_rule("FIRST_PAYMENT", minimum_amount=Decimal(20), currency="INR")
    payment = UUID(pay_once(alice, "25", capture=False).body["id"])

    capture_payment(payment, shop, amount=Decimal(15), final=False)
    assert due_to(alice) == []
    capture_payment(payment, shop, amount=Decimal(10), final=True)

    assert due_to(alice) == [rule]


def test_a_friends_first_payment_is_due_to_the_person_who_invited_them(
    open_rule: OpenRule, alice: User, bob: User, invite: Invite, pay_once: Pay
) -> None:
    rule = open_rule("FRIEND_FIRST_PAYMENT")
    friend = invite(alice)

    pay_once(bob)
    pay_once(friend)
    pay_once(friend)

    due = GrantDue.objects.get()
    assert (due.rule, due.user, due.friend, due.reference) == (rule, alice, friend, friend.pk)


def test_one_friend_earns_one_reward_although_two_rules_are_active(
    open_rule: OpenRule, alice: User, invite: Invite, pay_once: Pay
) -> None:
    oldest = open_rule("FRIEND_FIRST_PAYMENT")
    open_rule("FRIEND_FIRST_PAYMENT", minimum_amount=Decimal(20), currency="INR")
    friend = invite(alice)

    pay_once(friend)
    pay_once(friend, "50")

    assert due_to(alice) == [oldest]


@pytest.mark.django_db(transaction=True)
def test_payments_in_two_currencies_at_once_are_one_first_payment(
    open_rule: OpenRule, alice: User, shop: Service, credit: Callable[..., object]
) -> None:
    open_rule("FIRST_PAYMENT")
    currencies = ["INR", "USD", "EUR", "GBP"]
    for currency in currencies:
        credit("100", currency=currency)

    outcomes = at_once(
        lambda currency: pay(alice, shop, currency=currency, amount=Decimal(5), reference=currency, capture=True), currencies
    )

    assert [type(outcome).__name__ for outcome in outcomes] == ["Answer"] * 4
    assert GrantDue.objects.count() == 1


WRITES = [
    "INSERT INTO programme_grantdue (rule_id, user_id, reference) SELECT id, '{user}', '{user}' FROM programme_grantrule",
    "UPDATE programme_grantdue SET user_id = '{user}'",
    "UPDATE programme_grantdue SET entry_id = gen_random_uuid(), granted_at = now(), cap_slot = 1",
    "UPDATE programme_grantdue SET reference = gen_random_uuid()",
    "UPDATE programme_grantrule SET event = 'EMAIL_VERIFIED'",
    "DELETE FROM programme_grantrule",
    "DELETE FROM programme_grantdue",
    "TRUNCATE programme_grantdue",
    "INSERT INTO programme_referral (friend_id, referrer_id, network, created_at, held_for)"
    " VALUES ('{user}', '{other}', '', now(), '')",
    "UPDATE programme_referral SET referrer_id = '{user}'",
    "DELETE FROM programme_referral",
    "UPDATE programme_reportedevent SET name = 'other'",
    "UPDATE programme_referralcode SET code = 'AAAAAAAA'",
]


@pytest.mark.parametrize("statement", WRITES)
def test_the_application_cannot_write_what_did_not_happen(open_rule: OpenRule, alice: User, bob: User, statement: str) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("carol@example.com", "x")
    become("cashback_app")

    with pytest.raises(Exception, match="permission denied"), transaction.atomic():
        sql(statement.format(user=alice.pk, other=bob.pk))


def refusal(statement: str, *values: object) -> str:
    """Run SQL as a superuser and return the name of the rule that refuses it."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        sql(statement, *values)
    return violated_constraint(refused.value)


def test_a_rule_keeps_what_it_grants_for_and_is_never_deleted(open_rule: OpenRule) -> None:
    open_rule("REGISTERED")

    assert refusal("UPDATE programme_grantrule SET event = 'EMAIL_VERIFIED'") == "rule_same"
    assert refusal("UPDATE programme_grantrule SET pool_id = gen_random_uuid()") == "rule_same"
    assert refusal("DELETE FROM programme_grantrule") == "rule_kept"
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert refusal("TRUNCATE programme_grantrule CASCADE") in ("rule_kept", "due_kept")


def test_a_due_keeps_its_person_and_is_never_deleted(open_rule: OpenRule, alice: User) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("carol@example.com", "x")

    assert refusal("UPDATE programme_grantdue SET user_id = %s", alice.pk) == "due_same"
    assert refusal("DELETE FROM programme_grantdue") == "due_kept"


def test_a_grant_in_a_rules_name_without_a_due_is_refused(
    open_rule: OpenRule, alice: User, credit: Callable[..., object]
) -> None:
    rule = open_rule("FIRST_PAYMENT")
    entry = credit("100").pk  # type: ignore[attr-defined]

    for reference in (f"rule:{rule.pk}:{alice.pk}", "rule:anything", f"rule:{rule.pk}:{'-' * 36}"):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            Grant.objects.create(entry_id=entry, reference=reference, reason="gift", fingerprint="")
        assert violated_constraint(refused.value) == "grant_of_due"
    assert not Grant.objects.exists()


def test_nobody_invites_themselves_even_by_manual_sql(alice: User) -> None:
    statement = (
        "INSERT INTO programme_referral (friend_id, referrer_id, network, created_at, held_for) VALUES (%s, %s, '', now(), '')"
    )

    assert refusal(statement, alice.pk, alice.pk) == "referral_not_oneself"
    assert not Referral.objects.exists()


def test_a_payment_without_an_active_rule_looks_once_and_writes_nothing(alice: User, pay_once: Pay) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_inserted('programme_grantdue'::regclass)")
        before = cursor.fetchone()
        pay_once(alice)
        cursor.execute("SELECT pg_stat_get_xact_tuples_inserted('programme_grantdue'::regclass)")
        assert cursor.fetchone() == before
