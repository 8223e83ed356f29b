"""The checks of the programme's experiments are red for each thing that may not happen."""

from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from accounts.models import User
from dev.chaos import programme_mutants
from dev.chaos.experiment import Experiment, Outcome
from dev.chaos.mail_server import MailServer
from dev.chaos.markdown_report import outcome_row
from dev.chaos.programme_checks import (
    due_violations,
    email_violations,
    feed_violations,
    notice_violations,
    order_violations,
    time_violations,
    webhook_violations,
)
from dev.chaos.programme_load import Due
from dev.chaos.programme_mutants import CONTROLS, catch_wrong_schedulers
from dev.chaos.scheduler_process import SchedulerPlan
from dev.chaos.schedulers import Scheduler
from dev.chaos.test_servers import servers_in
from dev.chaos.webhook_receiver import Receiver
from dev.chaos.wrong_schedulers import WRONG
from tests.programme.conftest import OpenRule, fill, open_rule  # noqa: F401  (fixtures)
from wallet.actions import grant_dues
from wallet.assets.models import CashbackAsset
from wallet.delivery.cursors import START
from wallet.delivery.feed import read_events
from wallet.delivery.ticks import append_tick
from wallet.ledger.models import Entry
from wallet.notices.models import Notice
from wallet.verification.checker import Violation

pytestmark = pytest.mark.django_db


def kinds(violations: list[Violation]) -> list[str]:
    return [violation.invariant for violation in violations]


@pytest.fixture
def due(open_rule: OpenRule) -> Due:  # noqa: F811
    """A credit that a rule owes to carol, and has granted, with its notice."""
    rule = open_rule("REGISTERED")
    carol = User.objects.create(email="carol@example.com")
    User.objects.filter(pk=carol.pk).update(email_verified_at=Now())
    assert grant_dues.grant_due_credits() == 1
    entry = Entry.objects.get()
    Notice.objects.create(user=carol, kind="granted", key=str(entry.pk), payload={})
    return Due(rule.pk, carol.pk, carol.pk)


def test_a_credit_that_was_due_and_is_not_granted_is_lost(due: Due) -> None:
    assert due_violations([due]) == []
    assert kinds(due_violations([due, replace(due, reference=uuid4())])) == ["lost"]


def test_a_credit_that_nobody_was_owed_or_another_person_is_named(due: Due) -> None:
    assert kinds(due_violations([])) == ["grant"]
    assert kinds(due_violations([replace(due, user=uuid4())])) == ["grant"]


def test_a_grant_without_its_notice_and_a_person_without_a_digest_are_lost(due: Due, bob: User) -> None:
    assert notice_violations() == []
    assert kinds(notice_violations([bob.pk])) == ["lost"]
    Notice.objects.all().delete()
    assert kinds(notice_violations()) == ["lost"]


def letter(notice: Notice) -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = f"<{notice.pk}@example.com>"
    return message


def test_an_email_leaves_once_and_is_unconfirmed_only_after_a_kill(due: Due) -> None:
    notice = Notice.objects.get()
    assert kinds(email_violations(MailServer(), 0)) == ["lost"]  # it still waits
    assert kinds(email_violations(MailServer(accepted=[letter(notice)]), 0)) == ["email", "lost"]

    Notice.objects.update(state="HANDED_OVER", handed_over_at=Now())
    assert kinds(email_violations(MailServer(), 0)) == ["lost"]
    assert email_violations(MailServer(), 1) == []

    Notice.objects.update(state="SENT", sent_at=Now())
    assert kinds(email_violations(MailServer(), 0)) == ["lost"]
    assert email_violations(MailServer(accepted=[letter(notice)]), 0) == []
    assert kinds(email_violations(MailServer(accepted=[letter(notice)] * 2), 0)) == ["doubled"]


def message(number: int, event_id: str = "", user: str = "alice") -> dict[str, Any]:
    return {"id": event_id or f"movement_{number}", "data": {"user": user, "currency": "INR", "number": number}}


def test_a_wallets_events_come_in_order_and_doubles_do_not_count() -> None:
    assert order_violations([message(1), message(2), message(1), message(1, "movement_9", "bob")]) == []
    assert kinds(order_violations([message(2), message(1)])) == ["order"]
    assert kinds(order_violations([message(1), message(1, "movement_9")])) == ["order"]


def test_a_webhook_that_did_not_arrive_or_was_not_genuine_is_named() -> None:
    receiver = Receiver(received=[message(1), message(1)], refused=["Message timestamp too old"])

    found = webhook_violations(receiver, {"movement_1", "movement_2"})

    assert kinds(found) == ["lost", "webhook"]


@pytest.mark.django_db(transaction=True)
def test_the_feed_has_everything_once(issue: Callable[..., CashbackAsset]) -> None:
    issue()
    issue()
    append_tick()
    read = [(event.id, event.data) for event in read_events(START, service=None).events]

    assert feed_violations(read) == []
    assert kinds(feed_violations(read[1:])) == ["lost"]
    assert kinds(feed_violations([*read, read[0]])) == ["doubled"]


def test_what_happens_before_its_time_is_early(due: Due, issue: Callable[..., CashbackAsset]) -> None:
    assert time_violations() == []

    Notice.objects.create(user_id=due.user, kind="ending_soon", key="2999-01-01", payload={})

    assert kinds(time_violations()) == ["early"]


def test_lost_and_doubled_have_their_columns() -> None:
    found = [{"invariant": kind, "sentence": "…"} for kind in ("lost", "doubled", "doubled", "early")]
    fields = {"count": 1, "claims": 2, "note": "", "skipped": False, "violations": found}

    row = outcome_row("T50", fields)

    assert (row.lost, row.doubled, row.unexplained) == (1, 2, 1)


def test_a_wrong_scheduler_that_nobody_detects_is_red(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(programme_mutants, "run_wrong", lambda *_: Outcome(1, 1, 0, 0, 0, [Violation("I8", "no")]))

    outcome = catch_wrong_schedulers(Experiment(servers_in(tmp_path), 1, 1))

    assert set(CONTROLS) == set(WRONG)
    assert kinds(outcome.violations) == ["T54"] * 5
    assert outcome.violations[0].sentence == "not caught: granted without a lock (seen: I8)"


def test_a_scheduler_that_ended_by_itself_is_red() -> None:
    scheduler = Scheduler(SchedulerPlan({}, 0), ended=[0, -9, 70, None])

    assert [violation.sentence for violation in scheduler.complaints()] == [
        "a scheduler ended with 70",
        "a scheduler ended with None",
    ]
