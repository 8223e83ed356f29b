"""Referral: who registers with a friend's code is theirs for ever; rewards, caps and review."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.invitations import COOKIE, Invitation
from accounts.models import User
from accounts.registration import EmailTaken, register_user
from kernel.transactions import violated_constraint
from tests.api.conftest import ROOT, Caller
from tests.concurrency import at_once
from tests.conftest import PASSWORD
from tests.programme.conftest import Invite, OpenRule, Pay, referral_of
from wallet.actions.grant_dues import grant_due, grant_due_credits
from wallet.actions.referral import ReferralDecided, ReferralNotFound, ensure_referral_code, review_referral
from wallet.programme.events import MAX_FRIENDS_AT_ONCE, MAX_FRIENDS_OF_NETWORK
from wallet.programme.models import GrantDue, Referral, ReferralCode
from wallet.programme.querysets import DueState
from wallet.queries.referrals import FriendState, invited_friend, referral_counts, referrals_of

pytestmark = pytest.mark.django_db(transaction=True)


def states_of(user: User) -> list[FriendState]:
    return [invited_friend(referral).state for referral in referrals_of(user)]


def test_a_person_has_one_code_however_often_and_at_once_it_is_asked_for(alice: User) -> None:
    codes = at_once(lambda _: ensure_referral_code(alice), range(8))

    assert set(codes) == {ReferralCode.objects.get().code}


def test_a_code_comes_with_the_registration_whatever_its_case_and_spaces(
    anonymous: Caller,
    alice: User,
) -> None:
    code = ensure_referral_code(alice).lower()

    body = {"email": "friend@example.com", "password": PASSWORD, "referral_code": f" {code[:4]}-{code[4:]} "}
    answer = anonymous.post(f"{ROOT}/auth/register/", body)

    assert answer.status_code == 201, answer.content
    referral = Referral.objects.get()
    assert (referral.friend.email, referral.referrer, referral.held_for) == ("friend@example.com", alice, "")
    assert len(referral.network) == 64


def test_a_code_that_nobody_has_is_refused_beside_its_field_and_nobody_is_registered(
    anonymous: Caller,
    alice: User,
    client: Client,
) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for code in ("ZZZZZZZZ", ensure_referral_code(alice)):
        body = {"email": "friend@example.com", "password": PASSWORD, "referral_code": code}
        answer = anonymous.post(f"{ROOT}/auth/register/", body)
        page = client.post("/register/", body)

        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, ["referral_code"])
        assert "This invitation code does not exist" in page.content.decode()
    assert not User.objects.filter(email="friend@example.com").exists()
    assert not Referral.objects.exists()


def test_a_second_code_changes_nothing(alice: User, bob: User, invite: Invite) -> None:
    friend = invite(alice)

    with pytest.raises(EmailTaken):
        invite(bob)
    with pytest.raises(IntegrityError, match="programme_referral_pkey"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO programme_referral (friend_id, referrer_id, network, created_at, held_for)"
            " SELECT friend_id, %s, '', now(), '' FROM programme_referral",
            [bob.pk],
        )

    assert referral_of(friend).referrer == alice


def test_the_code_of_one_registration_is_not_that_of_the_next_in_its_transaction(alice: User, invite: Invite) -> None:
    with transaction.atomic():
        invite(alice)
        register_user("other@example.com", PASSWORD)

    assert [referral.friend.email for referral in Referral.objects.all()] == ["friend@example.com"]


def test_the_link_leads_to_the_registration_and_the_first_one_counts(client: Client, alice: User, bob: User) -> None:
    first, second = ensure_referral_code(alice), ensure_referral_code(bob)

    for code in (first, second):
        answer = client.get(f"/join/{code}/")
        assert (answer.status_code, answer["Location"]) == (302, "/register/")
    page = client.get("/register/").content.decode()
    client.post("/register/", {"email": "friend@example.com", "password": PASSWORD, "referral_code": first})

    assert (client.cookies[COOKIE].value, client.cookies[COOKIE]["max-age"]) == (first, 30 * 24 * 3600)
    assert f'value="{first}"' in page
    assert referral_of(User.objects.get(email="friend@example.com")).referrer == alice


def test_a_link_with_anything_else_sets_no_cookie(client: Client) -> None:
    client.get("/join/not-a-code/")

    assert COOKIE not in client.cookies


def test_somebody_with_an_account_is_sent_to_their_own_link(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert client.get(f"/join/{ensure_referral_code(alice)}/")["Location"] == "/invite/"


def test_a_reward_is_pending_for_the_return_window_and_then_available(
    open_rule: OpenRule, fill: Callable[..., Any], alice: User, invite: Invite, pay_once: Pay
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT", pool=fill(1, pending_for="14 days"))
    friend = invite(alice)
    assert states_of(alice) == [FriendState.JOINED]
    pay_once(friend)
    assert states_of(alice) == [FriendState.REWARD_WAITING]

    assert grant_due_credits() == 1

    (rewarded,) = [invited_friend(referral) for referral in referrals_of(alice)]
    assert rewarded.state is FriendState.REWARDED
    assert rewarded.reward is not None
    assert (rewarded.reward.amount, rewarded.reward.currency) == (Decimal(50), "INR")
    assert timedelta(days=13) < rewarded.reward.pending_until - timezone.now() <= timedelta(days=14)  # type: ignore[operator]
    assert referral_counts(alice) == {
        "friends": 1,
        "rewarded": 1,
        "earned": [{"currency": "INR", "amount": Decimal(50)}],
    }


def test_the_cap_per_person_ends_the_rewards(open_rule: OpenRule, alice: User, invite: Invite, pay_once: Pay) -> None:
    open_rule("FRIEND_FIRST_PAYMENT", per_person_cap=1)
    for number in range(2):
        pay_once(invite(alice, f"friend{number}@example.com"))

    assert grant_due_credits() == 1
    assert sorted(states_of(alice)) == [FriendState.NO_REWARD, FriendState.REWARDED]


def test_many_friends_from_one_network_wait_for_an_operator(
    open_rule: OpenRule, alice: User, ada: User, invite: Invite, pay_once: Pay
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT", credits=9)
    friends = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 2)]
    other = invite(alice, "elsewhere@example.com", "another")
    assert [referral_of(friend).held_for for friend in [*friends, other]] == [""] * 3 + ["NETWORK"] * 2 + [""]
    approved, refused = friends[-2:]
    for friend in (approved, refused, other):
        pay_once(friend)

    assert grant_due_credits() == 1
    held = GrantDue.objects.with_state().filter(friend__in=[approved, refused])
    assert {due.state for due in held} == {DueState.REVIEW}
    review_referral(approved.pk, ada, is_approved=True)
    review_referral(refused.pk, ada, is_approved=False)

    assert grant_due_credits() == 1
    assert {due.friend: due.state for due in held.all()} == {approved: DueState.GRANTED, refused: DueState.REFUSED}
    assert states_of(alice).count(FriendState.NO_REWARD) == 1
    for friend, error in ((approved, ReferralDecided), (other, ReferralDecided), (alice, ReferralNotFound)):
        with pytest.raises(error):
            review_referral(friend.pk, ada, is_approved=True)


def test_many_friends_within_an_hour_wait_for_an_operator(alice: User, invite: Invite) -> None:
    friends = [invite(alice, f"f{n}@example.com", f"net{n}") for n in range(MAX_FRIENDS_AT_ONCE + 1)]

    assert [referral_of(friend).held_for for friend in friends] == [""] * MAX_FRIENDS_AT_ONCE + ["BURST"]


def test_friends_who_register_at_once_are_counted_exactly(alice: User) -> None:
    code = ensure_referral_code(alice)

    at_once(lambda n: register_user(f"f{n}@example.com", PASSWORD, Invitation(code, "home")), range(8))

    assert Referral.objects.filter(held_for="NETWORK").count() == 8 - MAX_FRIENDS_OF_NETWORK


def test_what_a_refused_referral_pays_makes_nothing_due(
    open_rule: OpenRule, alice: User, ada: User, invite: Invite, pay_once: Pay
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    *_, friend = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 1)]
    review_referral(friend.pk, ada, is_approved=False)

    pay_once(friend)

    assert not GrantDue.objects.exists()


def test_a_held_reward_is_not_granted_even_if_somebody_makes_it_ready(
    open_rule: OpenRule, alice: User, invite: Invite, pay_once: Pay
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    *_, friend = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 1)]
    pay_once(friend)
    GrantDue.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(IntegrityError) as refused:
        grant_due(GrantDue.objects.get().pk)

    assert violated_constraint(refused.value) == "grant_of_due"


@pytest.mark.parametrize(
    "change",
    [
        "referrer_id = decided_by_id",
        "held_for = ''",
        "is_approved = NULL",
        "network = 'x'",
        "decided_at = now() - interval '1 day', held_for = 'BURST'",
    ],
)
def test_nothing_else_of_a_referral_changes(alice: User, ada: User, invite: Invite, change: str) -> None:
    *_, friend = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 1)]

    with pytest.raises(IntegrityError) as refused, connection.cursor() as cursor:
        cursor.execute(f"UPDATE programme_referral SET {change} WHERE friend_id = %s", [friend.pk])

    assert violated_constraint(refused.value) == "referral_decided"


def test_the_page_shows_the_link_and_no_friends_email(
    client: Client, open_rule: OpenRule, alice: User, invite: Invite, pay_once: Pay
) -> None:
    client.force_login(alice)
    empty = client.get("/invite/").content.decode()
    rule = open_rule("FRIEND_FIRST_PAYMENT", minimum_amount=Decimal(10), currency="INR")
    invite(alice, "zoe@example.com")
    pay_once(invite(alice, "yan@example.com"))
    grant_due_credits()

    page = client.get("/invite/").content.decode()

    assert "No friends yet" in empty
    assert "There is no reward for invitations at the moment." in empty
    for text in (f"/join/{ensure_referral_code(alice)}/", rule.pool.name, "₹10.00", "z•••", "y•••", "Joined", "₹50.00"):
        assert text in page
    for email in ("zoe@", "yan@"):
        assert email not in page


def test_the_api_shows_the_code_and_what_came_of_each_friend(
    as_alice: Caller,
    open_rule: OpenRule,
    alice: User,
    invite: Invite,
    pay_once: Pay,
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    pay_once(invite(alice, "yan@example.com"))
    invite(alice, "zoe@example.com")
    grant_due_credits()

    shown = as_alice.get(f"{ROOT}/referral/").json()
    first = as_alice.get(f"{ROOT}/referral/friends/?page_size=1").json()
    second = as_alice.get(first["next"]).json()

    code = ensure_referral_code(alice)
    earned = [{"currency": "INR", "amount": "50.00"}]
    assert shown == {"code": code, "link": shown["link"], "friends": 2, "rewarded": 1, "earned": earned}
    assert shown["link"].endswith(f"/join/{code}/")
    (zoe,), (yan,) = first["results"], second["results"]
    assert (zoe["friend"], zoe["state"], zoe["reward"]) == ("z•••", "joined", None)
    assert (yan["friend"], yan["state"]) == ("y•••", "rewarded")
    assert yan["reward"] == {"amount": "50.00", "currency": "INR", "pending_until": None}
    assert second["next"] is None
