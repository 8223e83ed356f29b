"""A credit that a payment earned is taken back when the whole payment is refunded while the credit is pending."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.services import Service
from tests.api.conftest import ROOT, Caller
from tests.concurrency import at_once
from tests.money.conftest import change_dates, end_hold, figures
from tests.programme.conftest import Fill, Invite, OpenRule, Pay
from tests.programme.test_granting import violations, work
from wallet import tasks
from wallet.actions import seal_ledger
from wallet.actions.capture_payment import capture_payment
from wallet.actions.claw_back_refunded import claw_back_refunded
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.edit_pool import update_pool
from wallet.actions.end_holds import end_due_holds
from wallet.actions.grant_dues import grant_due_credits
from wallet.actions.pay import pay
from wallet.actions.referral import review_referral
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.ledger.models import Lot, Movement, Payment, Proposal
from wallet.programme.events import MAX_FRIENDS_OF_NETWORK
from wallet.programme.models import GrantDue, Referral
from wallet.programme.querysets import DueState
from wallet.queries.due_credits import waiting_rules
from wallet.queries.referrals import invited_friend, referral_counts, referrals_of

pytestmark = pytest.mark.django_db(transaction=True)
WINDOW = "14 days"
Refund = Callable[..., Any]


@pytest.fixture
def refund(shop: Service) -> Refund:
    """Refund a payment at the shop, as a whole unless an amount is named."""

    def make(payment_id: Any, amount: str | None = None, reference: str = "return-1") -> Any:
        value = None if amount is None else Decimal(amount)
        return refund_payment(UUID(str(payment_id)), reference=reference, reason="returned", amount=value, service=shop)

    return make


@pytest.fixture
def friend(open_rule: OpenRule, fill: Fill, alice: User, invite: Invite) -> User:
    """A friend whom alice has invited; her reward for the first payment is pending for the return window."""
    open_rule("FRIEND_FIRST_PAYMENT", pool=fill(3, pending_for=WINDOW))
    return invite(alice)


@pytest.fixture
def paid(friend: User, pay_once: Pay) -> UUID:
    """The friend's first payment, of 10 rupees, for which alice's reward was granted."""
    payment = UUID(pay_once(friend).body["id"])
    assert run_scheduler() == 1
    return payment


def run_scheduler() -> int:
    """Run the scheduler's task once; return how many credits it granted."""
    return tasks.grant_for_a_minute(every=10, rounds=1)


def reward(user: User) -> Lot:
    return Lot.objects.get(user=user, entry__due__friend__isnull=False)


def state_of_friend(user: User) -> str:
    (referral,) = referrals_of(user)
    return str(invited_friend(referral).state)


def states() -> list[str]:
    return [due.state for due in GrantDue.objects.with_state().order_by("pk")]


def clawbacks() -> list[tuple[str, Decimal, Decimal | None]]:
    """Return claim, amount and shortfall of each clawback."""
    rows = Movement.objects.filter(kind="CLAWBACK").order_by("xid", "number")
    return [(str(row.claim_id), row.amount, row.shortfall) for row in rows]


def test_a_pending_reward_is_taken_back_when_the_friends_payment_is_refunded(paid: UUID, alice: User, refund: Refund) -> None:
    due = GrantDue.objects.get()
    assert due.payment_id == paid
    lot = reward(alice)
    refund(paid)
    assert (figures(lot), clawbacks()) == ({"available": Decimal(50)}, [])  # nothing on the path of the refund

    assert [run_scheduler() for _ in range(3)] == [0, 0, 0]

    assert figures(lot) == {"clawed_back": Decimal(50)}
    assert clawbacks() == [(str(lot.pk), Decimal(50), Decimal(0))]
    movement = Movement.objects.get(kind="CLAWBACK")
    assert (movement.reason, movement.actor, movement.channel) == ("payment_refunded", None, "scheduler")
    assert states() == [DueState.TAKEN_BACK]
    assert state_of_friend(alice) == "taken_back"
    assert referral_counts(alice) == {"friends": 1, "rewarded": 0, "earned": []}
    assert violations() == []


def test_a_refund_in_part_keeps_the_reward_and_the_last_part_takes_it_back(paid: UUID, alice: User, refund: Refund) -> None:
    refund(paid, "9.99", "return-1")
    run_scheduler()
    assert (state_of_friend(alice), clawbacks()) == ("rewarded", [])

    refund(paid, "0.01", "return-2")
    run_scheduler()

    assert state_of_friend(alice) == "taken_back"
    assert violations() == []


@pytest.mark.parametrize(("late", "is_kept"), [(timedelta(0), True), (timedelta(microseconds=-1), False)])
def test_the_window_ends_by_the_time_of_the_refund_however_late_the_scheduler_runs(
    paid: UUID, alice: User, refund: Refund, late: timedelta, is_kept: bool
) -> None:
    refund(paid)
    lot = reward(alice)
    window_ends = Movement.objects.get(kind="REFUND").at - late
    moved = ", ".join(f"{name} = {name} - interval '20 days'" for name in ("opened_at", "moved_at"))
    change_dates(lot, f"{moved}, spendable_from = %s", window_ends)

    run_scheduler()

    assert (clawbacks() == []) is is_kept
    assert state_of_friend(alice) == ("rewarded" if is_kept else "taken_back")


def test_what_was_spent_after_the_window_is_the_shortfall(paid: UUID, alice: User, refund: Refund, shop: Service) -> None:
    refund(paid)
    lot = reward(alice)
    ends = Movement.objects.get(kind="REFUND").at + timedelta(microseconds=1)
    change_dates(lot, "opened_at = opened_at - interval '20 days', spendable_from = %s", ends)
    pay(alice, shop, currency="INR", amount=Decimal(30), reference="quick", capture=True)

    run_scheduler()

    assert clawbacks() == [(str(lot.pk), Decimal(20), Decimal(30))]
    assert states() == [DueState.TAKEN_BACK]


def test_schedulers_at_once_and_refunds_at_once_take_back_once(
    *, open_rule: OpenRule, fill: Fill, alice: User, invite: Invite, pay_once: Pay, refund: Refund
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT", pool=fill(12, pending_for=WINDOW))
    payments = [UUID(pay_once(invite(alice, f"friend{n}@example.com")).body["id"]) for n in range(8)]

    def act(number: int) -> Any:
        return run_scheduler() if number % 2 else [refund(pk, None, f"return-{pk}") for pk in payments[number::8]]

    for outcome in (*at_once(act, range(8)), *at_once(lambda _: run_scheduler(), range(4))):
        assert not isinstance(outcome, Exception), outcome
    run_scheduler()

    refunded = {payment.pk for payment in Payment.objects.filter(refunded__gt=0)}
    assert len(refunded) == 4
    for due in GrantDue.objects.with_state().select_related("entry__lot"):
        if due.payment_id not in refunded:
            assert due.state == DueState.GRANTED
        elif due.entry is None:
            assert due.state == DueState.PAYMENT_REFUNDED
        else:
            assert figures(due.entry.lot) == {"clawed_back": Decimal(50)}
    assert len(clawbacks()) == len(GrantDue.objects.filter(payment__in=refunded, entry__isnull=False))
    assert violations() == []


def test_a_refund_that_cannot_be_handled_stops_no_grant(
    friend: User, alice: User, pay_once: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise RuntimeError("a refund that cannot be handled")

    pay_once(friend)
    monkeypatch.setattr("wallet.actions.claw_back_refunded.claw_back_refunded", fail)

    with pytest.raises(RuntimeError):  # the schedule has failed, and operators see it
        tasks.grant_for_a_minute(every=10, rounds=1)
    assert GrantDue.objects.filter(user=alice, entry__isnull=False).exists()


def test_a_refund_before_the_grant_means_no_reward(friend: User, alice: User, pay_once: Pay, refund: Refund) -> None:
    refund(pay_once(friend).body["id"])

    assert [run_scheduler() for _ in range(2)] == [0, 0]

    assert (states(), clawbacks()) == ([DueState.PAYMENT_REFUNDED], [])
    due = GrantDue.objects.get()
    assert (due.entry, due.refusal, due.next_try_at) == (None, "payment_refunded", None)
    assert state_of_friend(alice) == "no_reward"
    assert waiting_rules() == []
    assert violations() == []


def test_a_later_payment_of_the_friend_earns_nothing(friend: User, alice: User, pay_once: Pay, refund: Refund) -> None:
    refund(pay_once(friend).body["id"])
    run_scheduler()
    pay_once(friend)

    assert run_scheduler() == 0
    assert GrantDue.objects.count() == 1


def test_a_reward_that_waits_for_supply_is_not_granted_after_a_refund(
    *, open_rule: OpenRule, fill: Fill, alice: User, invite: Invite, pay_once: Pay, refund: Refund, issue: Callable[..., Any]
) -> None:
    rule = open_rule("FRIEND_FIRST_PAYMENT", pool=fill(0, pending_for=WINDOW))
    payment = pay_once(invite(alice)).body["id"]
    run_scheduler()
    refund(payment)
    run_scheduler()
    issue(pool=rule.pool)

    assert run_scheduler() == 0
    assert states() == [DueState.PAYMENT_REFUNDED]


def test_an_approved_referral_earns_nothing_for_a_refunded_payment(
    *, open_rule: OpenRule, alice: User, ada: User, invite: Invite, pay_once: Pay, refund: Refund
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    *_, held = [invite(alice, f"f{n}@example.com", "home") for n in range(MAX_FRIENDS_OF_NETWORK + 1)]
    refund(pay_once(held).body["id"])
    run_scheduler()
    assert states() == [DueState.PAYMENT_REFUNDED]
    review_referral(held.pk, ada, is_approved=True)

    assert run_scheduler() == 0
    assert states() == [DueState.PAYMENT_REFUNDED]
    assert Referral.objects.get(friend=held).is_approved


def test_a_reward_without_a_pending_time_is_kept(
    open_rule: OpenRule, alice: User, invite: Invite, pay_once: Pay, refund: Refund
) -> None:
    open_rule("FRIEND_FIRST_PAYMENT")
    payment = pay_once(invite(alice)).body["id"]
    run_scheduler()
    refund(payment)

    run_scheduler()

    assert (states(), clawbacks()) == ([DueState.GRANTED], [])


@pytest.mark.parametrize("end", ["released", "swept"])
def test_a_payment_captured_in_part_is_refunded_as_a_whole_once_nothing_of_it_is_held(
    *, friend: User, alice: User, pay_once: Pay, refund: Refund, shop: Service, end: str
) -> None:
    payment = UUID(pay_once(friend, "10", capture=False).body["id"])
    capture_payment(payment, shop, amount=Decimal(4), final=False)
    run_scheduler()
    refund(payment)
    run_scheduler()
    assert state_of_friend(alice) == "rewarded"  # the rest may still be captured

    if end == "released":
        release_payment(payment, service=shop)
    else:
        end_hold(payment)
        end_due_holds()
    run_scheduler()

    assert state_of_friend(alice) == "taken_back"


def test_only_the_payment_that_earned_it_counts(friend: User, alice: User, pay_once: Pay, refund: Refund) -> None:
    pay_once(friend)
    second = pay_once(friend).body["id"]
    run_scheduler()
    refund(second)
    run_scheduler()

    assert state_of_friend(alice) == "rewarded"


def test_the_same_holds_for_the_credit_of_ones_own_first_payment(
    open_rule: OpenRule, fill: Fill, bob: User, pay_once: Pay, refund: Refund
) -> None:
    open_rule("FIRST_PAYMENT", pool=fill(1, pending_for=WINDOW))
    payment = pay_once(bob).body["id"]
    assert run_scheduler() == 1
    refund(payment)

    run_scheduler()

    assert states() == [DueState.TAKEN_BACK]


def test_a_refund_that_commits_late_is_not_missed(
    paid: UUID, alice: User, refund: Refund, elsewhere: psycopg.Connection[Any]
) -> None:
    elsewhere.execute("SELECT pg_current_xact_id()")
    refund(paid)
    run_scheduler()
    assert state_of_friend(alice) == "rewarded"  # below the open transaction nothing is closed

    elsewhere.rollback()
    run_scheduler()
    assert state_of_friend(alice) == "taken_back"


def test_what_an_operator_took_back_before_is_left_as_it_is(paid: UUID, alice: User, ada: User, refund: Refund) -> None:
    clawback_credit(reward(alice).pk, reason="fraud", actor=ada)
    refund(paid)

    run_scheduler()

    assert len(clawbacks()) == 1
    assert state_of_friend(alice) == "taken_back"


def test_above_the_pools_threshold_a_second_operator_decides(paid: UUID, alice: User, ada: User, refund: Refund) -> None:
    lot = reward(alice)
    update_pool(lot.entry.asset.pool_id, ada, approval_threshold=Decimal(20))
    refund(paid)

    assert [run_scheduler() for _ in range(2)] == [0, 0]

    proposal = Proposal.objects.get()
    assert (proposal.kind, proposal.amount, proposal.reason) == ("CLAWBACK", Decimal(50), "payment_refunded")
    assert proposal.proposed_by == GrantDue.objects.get().rule.created_by
    assert (clawbacks(), states()) == ([], [DueState.GRANTED])


def test_a_scheduler_killed_at_each_step_takes_back_once(
    open_rule: OpenRule, fill: Fill, pay_once: Pay, refund: Refund
) -> None:
    open_rule("FIRST_PAYMENT", pool=fill(60, pending_for=WINDOW))
    job = "from wallet.tasks import grant_for_a_minute; grant_for_a_minute(every=10, rounds=1)"

    def refund_of_a_new_person(number: int) -> None:
        payment = pay_once(User.objects.create_user(f"user{number}@example.com", "x")).body["id"]
        grant_due_credits()
        refund(payment, None, f"return-{number}")

    refund_of_a_new_person(0)
    steps = int(work(0, job=job).stdout)
    assert len(clawbacks()) == 1
    for step in range(1, steps + 1):
        refund_of_a_new_person(step)
        work(step, "before" if step % 2 else "after", job=job)
        run_scheduler()
        assert len(clawbacks()) == step + 1
    seal_ledger.seal_all()
    assert set(states()) == {DueState.TAKEN_BACK}
    assert violations() == []


def test_pages_and_api_say_that_the_reward_was_taken_back(
    paid: UUID, alice: User, refund: Refund, client: Client, as_alice: Caller
) -> None:
    refund(paid)
    run_scheduler()
    client.force_login(alice)

    page = client.get("/invite/").content.decode()
    shown = as_alice.get(f"{ROOT}/referral/friends/").json()["results"][0]

    assert "Reward taken back" in page
    assert "In your wallet" not in page
    assert (shown["state"], shown["reward"]) == ("taken_back", None)
    assert as_alice.get(f"{ROOT}/referral/").json()["earned"] == []


def test_operators_see_what_was_taken_back_and_for_which_payment(
    *, paid: UUID, friend: User, refund: Refund, console: Client, pay_once: Pay, bob: User, invite: Invite
) -> None:
    refund(pay_once(invite(bob, "second@example.com")).body["id"], None, "return-2")
    refund(paid)
    run_scheduler()
    dues = reverse("admin:programme_grantdue_changelist")
    taken, never = GrantDue.objects.order_by("pk")

    page = console.get(dues).content.decode()
    only_taken = console.get(dues, {"state": "TAKEN_BACK"}).content.decode()
    only_never = console.get(dues, {"state": "PAYMENT_REFUNDED"}).content.decode()
    detail = console.get(reverse("admin:programme_grantdue_change", args=[taken.pk])).content.decode()

    for text in ("Taken back", "Payment refunded", "The payment was refunded before the credit was granted."):
        assert text in page
    assert (taken.user.email in only_taken, never.user.email in only_taken) == (True, False)
    assert (taken.user.email in only_never, never.user.email in only_never) == (False, True)
    assert Payment.objects.get(pk=paid).reference in detail


def test_the_command_takes_back_too(paid: UUID, refund: Refund, command: Callable[..., str]) -> None:
    refund(paid)

    assert "1 credit of refunded payments clawed back." in command("grant_due")
    assert "clawed back" not in command("grant_due")


def test_a_round_without_refunds_costs_the_same_however_much_was_granted(
    paid: UUID, open_rule: OpenRule, django_assert_num_queries: Any, friend: User, pay_once: Pay
) -> None:
    claw_back_refunded()
    for _ in range(3):
        pay_once(friend)
    with django_assert_num_queries(5):  # the cursor, the horizon, the end of the range, the refunds, the cursor
        assert claw_back_refunded() == 0


@pytest.mark.parametrize("change", ["payment_id = NULL", "payment_id = gen_random_uuid()"])
def test_a_due_keeps_the_payment_that_earned_it(friend: User, pay_once: Pay, change: str) -> None:
    pay_once(friend)

    with pytest.raises(IntegrityError, match="keeps its rule"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE programme_grantdue SET {change}")
