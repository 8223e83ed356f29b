"""Emails of notices, through a real mail server: each at most once, only to those who may and want to get it."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from dev.chaos.mail_server import MailServer, free_port
from kernel.waits import doubled_wait
from tests.concurrency import at_once
from wallet import tasks
from wallet.actions.notice_preferences import change_notice_preferences
from wallet.actions.record_notices import record_notices
from wallet.actions.send_notices import FIRST_DELAY, LONGEST_DELAY, send_waiting_notices
from wallet.ledger.models import Entry
from wallet.notices.models import Notice, NoticeKind

pytestmark = pytest.mark.django_db(transaction=True)
Grant = Callable[..., Entry]


def states() -> list[str]:
    return list(Notice.objects.order_by("id").values_list("state", flat=True))


def try_again_now() -> None:
    """Let the delay after a failed attempt be over."""
    Notice.objects.update(next_attempt_at=Now())


def test_a_grant_arrives_by_email_once(grant: Grant, verified: tuple[User, User], mail_server: MailServer) -> None:
    alice, _ = verified
    grant(alice, title="Sorry for the wait")

    assert [tasks.notify_people(), tasks.notify_people()] == [1, 0]
    (message,) = mail_server.accepted
    assert (message["To"], message["Subject"]) == (alice.email, "You received ₹100.00 of credit")
    assert "Sorry for the wait" in message.get_content()
    (notice,) = Notice.objects.all()
    assert (notice.state, notice.attempts) == ("SENT", 1)
    assert notice.handed_over_at is not None
    assert notice.sent_at is not None
    assert notice.handed_over_at < notice.sent_at


def test_two_schedulers_at_once_send_each_email_once(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer
) -> None:
    for number in range(30):
        grant(verified[number % 2])
    record_notices()

    results = at_once(lambda _: send_waiting_notices(), range(4))

    assert sum(result["SENT"] for result in results if isinstance(result, dict)) == 30, results
    assert len(mail_server.ids()) == len(set(mail_server.ids())) == 30


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"email_verified_at": None}, "NOT_VERIFIED"),
        ({"is_active": False}, "CLOSED"),
    ],
)
def test_no_email_leaves_for_an_unverified_address_or_a_closed_account(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer, fields: dict[str, Any], reason: str
) -> None:
    grant(verified[0])
    User.objects.filter(pk=verified[0].pk).update(**fields)
    tasks.notify_people()

    assert list(Notice.objects.values_list("state", "skip_reason")) == [("SKIPPED", reason)]
    assert mail_server.accepted == []


def test_a_kind_that_is_turned_off_is_recorded_and_not_sent(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer
) -> None:
    change_notice_preferences(verified[0], {NoticeKind.GRANTED: False})
    grant(verified[0])
    grant(verified[1])
    tasks.notify_people()

    assert set(Notice.objects.values_list("user", "state", "skip_reason")) == {
        (verified[0].pk, "SKIPPED", "OPTED_OUT"),
        (verified[1].pk, "SENT", ""),
    }
    assert [message["To"] for message in mail_server.accepted] == [verified[1].email]


def test_nothing_is_handed_over_where_no_mail_is_set_up(grant: Grant, verified: tuple[User, User], settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    grant(verified[0])
    tasks.notify_people()

    assert list(Notice.objects.values_list("state", "skip_reason")) == [("SKIPPED", "MAIL_OFF")]


@pytest.mark.parametrize(
    ("answer", "state", "accepted"),
    [
        ("451 Try later", "WAITING", 0),
        ("550 No such mailbox", "FAILED", 0),
        ("vanish", "HANDED_OVER", 1),  # the email may have been accepted: it is not sent again
    ],
)
def test_what_the_mail_server_answers_decides_whether_it_is_tried_again(  # noqa: PLR0917
    grant: Grant, verified: tuple[User, User], mail_server: MailServer, answer: str, state: str, accepted: int
) -> None:
    grant(verified[0])
    mail_server.answers.append(answer)
    tasks.notify_people()

    assert (states(), len(mail_server.accepted)) == ([state], accepted)
    assert tasks.notify_people() == 0  # not before its delay
    try_again_now()
    assert tasks.notify_people() == (state == "WAITING")
    assert len(mail_server.accepted) == (1 if state != "FAILED" else 0)


def test_an_email_that_the_server_refuses_does_not_hold_up_the_others(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer
) -> None:
    for _ in range(3):
        grant(verified[0])
    mail_server.answers.append("550 No such mailbox")
    tasks.notify_people()

    assert states() == ["FAILED", "SENT", "SENT"]


def test_an_unreachable_server_ends_the_run_and_loses_nothing(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer, settings: Any
) -> None:
    for _ in range(3):
        grant(verified[0])
    settings.EMAIL_PORT = free_port()
    tasks.notify_people()

    assert (states(), list(Notice.objects.order_by("id").values_list("attempts", flat=True))) == (["WAITING"] * 3, [1, 0, 0])
    settings.EMAIL_PORT = mail_server.port
    try_again_now()
    assert tasks.notify_people() == 3


def test_attempts_are_a_minute_apart_and_then_rarer() -> None:
    waits = [doubled_wait(attempts, FIRST_DELAY, LONGEST_DELAY) for attempts in (1, 2, 3, 7, 50)]

    assert [wait // timedelta(minutes=1) for wait in waits] == [1, 2, 4, 60, 60]


def test_what_could_not_be_sent_for_days_is_no_news(grant: Grant, verified: tuple[User, User], mail_server: MailServer) -> None:
    grant(verified[0])
    record_notices()
    Notice.objects.update(created_at=F("created_at") - timedelta(days=4))
    tasks.notify_people()

    assert list(Notice.objects.values_list("state", "skip_reason")) == [("SKIPPED", "TOO_LATE")]


def test_a_broken_template_loses_nothing(
    grant: Grant, verified: tuple[User, User], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in verified:
        grant(person)
    with monkeypatch.context() as broken:
        broken.setattr("wallet.notices.notice_email.render_to_string", lambda *_: 1 / 0)
        assert tasks.notify_people() == 0
    assert list(Notice.objects.values_list("state", "attempts")) == [("WAITING", 1)] * 2  # one does not stop the other
    try_again_now()

    assert tasks.notify_people() == 2


def test_a_run_ends_in_time(grant: Grant, verified: tuple[User, User], mail_server: MailServer) -> None:
    grant(verified[0])
    record_notices()

    assert send_waiting_notices(seconds=0)["SENT"] == 0
    assert states() == ["WAITING"]
    started = time.monotonic()
    assert send_waiting_notices(seconds=60)["SENT"] == 1
    assert time.monotonic() - started < 30
