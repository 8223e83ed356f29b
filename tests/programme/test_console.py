"""The console's sections of rules, due credits and referrals, and the alerts about them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.programme.conftest import Invite, OpenRule, Pay, referral_of
from wallet.actions.grant_dues import grant_due_credits
from wallet.assets.models import CreditPool
from wallet.programme.events import MAX_FRIENDS_OF_NETWORK
from wallet.programme.models import GrantDue, GrantRule

pytestmark = pytest.mark.django_db(transaction=True)
RULES, DUES = reverse("admin:programme_grantrule_changelist"), reverse("admin:programme_grantdue_changelist")
REFERRALS, INDEX = reverse("admin:programme_referral_changelist"), reverse("admin:index")


def body(pool: CreditPool, **fields: Any) -> dict[str, Any]:
    return {"name": "Welcome", "pool": str(pool.pk), "event": "REGISTERED", "is_active": "on"} | fields


def test_an_operator_opens_a_rule(
    console: Client,
    ada: User,
    open_pool: Callable[..., CreditPool],
    audited: Callable[[], list[dict[str, Any]]],
) -> None:
    fields = {"event": "FIRST_PAYMENT", "minimum_amount": "10.00", "currency": "inr", "per_person_cap": "1"}
    answer = console.post(reverse("admin:programme_grantrule_add"), body(open_pool(), **fields))

    rule = GrantRule.objects.get()
    assert answer.status_code == 302
    assert (rule.event, rule.minimum_amount, rule.currency, rule.per_person_cap) == ("FIRST_PAYMENT", 10, "INR", 1)
    assert rule.created_by == ada
    assert audited()[-1]["event"] == "rule_change"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"event": "REPORTED"}, "Name the event that services report"),
        ({"event_name": "review.written"}, "Name the event that services report"),
        ({"event": "REPORTED", "event_name": "Not A Name"}, "Name the event that services report"),
        ({"minimum_amount": "10"}, "A minimum amount needs its currency"),
        ({"event": "FIRST_PAYMENT", "minimum_amount": "10.001", "currency": "INR"}, "An amount in INR has at most 2 decimals"),
        ({"per_person_cap": "0"}, "at least 1"),
    ],
)
def test_what_a_rule_cannot_ask_is_refused_in_words(
    console: Client,
    open_pool: Callable[..., CreditPool],
    fields: dict[str, str],
    sentence: str,
) -> None:
    page = console.post(reverse("admin:programme_grantrule_add"), body(open_pool(), **fields))

    assert page.status_code == 200
    assert sentence in page.content.decode()
    assert not GrantRule.objects.exists()


def test_an_operator_pauses_a_rule_and_cannot_change_what_it_grants_for(
    console: Client,
    open_rule: OpenRule,
    open_pool: Callable[..., CreditPool],
) -> None:
    rule = open_rule("REGISTERED", name="Old name")
    address = reverse("admin:programme_grantrule_change", args=[rule.pk])
    other = open_pool(name="Other")

    answer = console.post(address, {"name": "New name", "pool": str(other.pk), "event": "EMAIL_VERIFIED"})

    changed = GrantRule.objects.get()
    assert answer.status_code == 302
    assert (changed.name, changed.is_active) == ("New name", False)
    assert (changed.pool, changed.event) == (rule.pool, "REGISTERED")


def test_the_list_of_dues_says_what_they_wait_for_and_tries_again(
    console: Client,
    open_rule: OpenRule,
) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("gone@example.com", "x", is_active=False)
    User.objects.create_user("here@example.com", "x")
    grant_due_credits()

    page = console.get(DUES).content.decode()
    refused = GrantDue.objects.get(entry=None)
    granted = console.get(DUES, {"state": "GRANTED"}).content.decode()
    detail = console.get(reverse("admin:programme_grantdue_change", args=[refused.pk])).content.decode()
    console.post(DUES, {"action": "try_now", "_selected_action": [refused.pk]})

    for text in ("Granted", "Not possible now", "The account is closed."):
        assert text in page
    assert "here@example.com" in granted
    assert "gone@example.com" not in granted
    assert "gone@example.com" in detail
    assert GrantDue.objects.to_try().filter(pk=refused.pk).exists()
    assert console.get(DUES, {"state": "ODD"}).status_code == 400


def test_an_operator_decides_on_a_held_referral(
    *,
    console: Client,
    ada: User,
    alice: User,
    open_rule: OpenRule,
    invite: Invite,
    pay_once: Pay,
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    *_, friend = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 1)]
    pay_once(friend)
    address = reverse("admin:programme_referral_change", args=[friend.pk])

    overview = console.get(INDEX).content.decode()
    waiting = console.get(REFERRALS, {"review": "undecided"}).content.decode()
    page = console.get(address).content.decode()
    refused = console.post(address, {"verb": "odd"})
    answer = console.post(address, {"verb": "approve"}, follow=True)
    again = console.post(address, {"verb": "refuse"}, follow=True)

    assert "1 referral waits for review." in overview
    assert f"f{MAX_FRIENDS_OF_NETWORK}@example.com" in waiting
    assert "f0@example.com" not in waiting
    assert "Many friends from one network address" in page
    assert "f0@example.com" in page
    assert refused.status_code == 403
    assert "Approved" in answer.content.decode()
    assert "already decided" in again.content.decode()
    assert (referral_of(friend).is_approved, referral_of(friend).decided_by) == (True, ada)
    assert grant_due_credits() == 1


def test_the_overview_says_that_a_rule_owes_what_its_pool_has_not(console: Client, open_rule: OpenRule) -> None:
    rule = open_rule("REGISTERED", credits=1, name="Welcome")
    quiet = console.get(INDEX).content.decode()
    for number in range(3):
        User.objects.create_user(f"user{number}@example.com", "x")
    grant_due_credits()

    page = console.get(INDEX).content.decode()

    assert "Welcome owes" not in quiet
    assert f"Welcome owes 2 credits, and {rule.pool.name} is sold out." in page
