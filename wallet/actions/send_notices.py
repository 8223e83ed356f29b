"""Send the emails of notices that wait, each at most once.

A notice is marked HANDED_OVER and committed before the mail server is contacted, and SENT after it has accepted the email.
A process killed in between leaves it HANDED_OVER: it may have left or not, and it is not sent again, because nobody should be
told twice and what it tells is in the wallet anyway. What the server refused, and what never reached it, is known not to have
left, so it is tried again.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now
from prometheus_client import Counter as CounterMetric

from accounts.models import User
from kernel.batching import release_connection
from kernel.fallbacks import Fallback
from kernel.metrics import REGISTRY
from kernel.statements import database_time
from kernel.transactions import atomic_with_retry
from kernel.waits import doubled_wait
from wallet.notices.handover import HandoverResult, MailConnection
from wallet.notices.models import Notice, NoticeKind, NoticeOptOut, NoticeState, SkipReason
from wallet.notices.notice_email import build_notice_email

NOTICES = CounterMetric(
    "cashback_notices", "Notices by kind and what became of the email.", ["kind", "outcome"], registry=REGISTRY
)
NOT_BUILT = Fallback("notices.not_built", "an email could not be written and is tried again", logging.getLogger(__name__))
# How long after a notice was written its email may leave: later it is no news.
SEND_WITHIN = {
    NoticeKind.ENDING_SOON: timedelta(days=1),
    NoticeKind.GRANTED: timedelta(days=3),
    NoticeKind.REFUNDED: timedelta(days=3),
}
FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)  # between attempts; doubled each time
OUTCOMES = {
    HandoverResult.ACCEPTED: NoticeState.SENT,
    HandoverResult.UNREACHABLE: NoticeState.WAITING,
    HandoverResult.TRY_LATER: NoticeState.WAITING,
    HandoverResult.REFUSED: NoticeState.FAILED,
    HandoverResult.UNKNOWN: NoticeState.HANDED_OVER,
}
Progress = Callable[[int], None]


def send_waiting_notices(progress: Progress = lambda _: None, *, seconds: float = math.inf) -> Counter[str]:
    """Send what waits, and return how many notices ended in each state.

    Arguments:
        progress: called with 1 for each notice.
        seconds: after this time the remaining notices are left for the next run.

    Stops when the mail server cannot be reached: the others would not leave either.
    """
    started, outcomes = time.monotonic(), Counter[str]()
    with MailConnection() as mail:
        while time.monotonic() - started < seconds and (notice := take_next_notice()):
            result = hand_over_notice(notice, mail)
            outcomes[notice.state] += 1
            NOTICES.labels(notice.kind, notice.state.lower()).inc()
            progress(1)
            if result is HandoverResult.UNREACHABLE:
                break
    return outcomes


@atomic_with_retry(idempotent=False)
def take_next_notice() -> Notice | None:
    """Take the notice that has waited longest: mark it HANDED_OVER, or SKIPPED if no email is to be sent; None if none waits.

    Not repeated after a lost connection: if the commit did succeed, another attempt would only take the next one.
    """
    due = Notice.objects.filter(state=NoticeState.WAITING, next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")
    notice = due.select_for_update(skip_locked=True, no_key=True, of=("self",)).select_related("user").first()
    if notice is None:
        return None
    now = database_time()
    opted_out = NoticeOptOut.objects.filter(user=notice.user, kind=notice.kind).exists()
    if reason := reason_to_skip(notice, notice.user, opted_out, now):
        notice.state, notice.skip_reason = NoticeState.SKIPPED, reason
        notice.save(update_fields=["state", "skip_reason"])
    else:
        notice.state, notice.handed_over_at, notice.attempts = NoticeState.HANDED_OVER, now, notice.attempts + 1
        notice.save(update_fields=["state", "handed_over_at", "attempts"])
    return notice


def reason_to_skip(notice: Notice, user: User, opted_out: bool, now: datetime) -> SkipReason | None:
    """Return why no email is sent for a notice, None if one is."""
    reasons = {
        SkipReason.CLOSED: not user.is_active,
        SkipReason.NOT_VERIFIED: user.email_verified_at is None,
        SkipReason.OPTED_OUT: opted_out,
        SkipReason.MAIL_OFF: is_mail_off(),
        SkipReason.TOO_LATE: now > notice.created_at + SEND_WITHIN[NoticeKind(notice.kind)],
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def is_mail_off() -> bool:
    """Return whether this installation sends no emails, or has no address for the links in them."""
    return settings.EMAIL_BACKEND.endswith("dummy.EmailBackend") or not settings.PUBLIC_URL


def hand_over_notice(notice: Notice, mail: MailConnection) -> HandoverResult | None:
    """Hand the email of a notice that was taken to the mail server, and record the result; None for one that was skipped."""
    if notice.state != NoticeState.HANDED_OVER:
        return None
    try:
        message = build_notice_email(notice, notice.user)
    except Exception:  # noqa: BLE001  (e.g. a platform's own template: nothing left, so it is tried again when that is repaired)
        NOT_BUILT.record()
        record_handover(notice, HandoverResult.TRY_LATER)
        return HandoverResult.TRY_LATER
    release_connection()  # a mail server may be slow
    result = mail.hand_over(message)
    record_handover(notice, result)
    return result


@atomic_with_retry(idempotent=True)
def record_handover(notice: Notice, result: HandoverResult) -> None:
    """Record what the mail server answered."""
    notice.state = OUTCOMES[result]
    changes: dict[str, object] = {"state": notice.state}
    if notice.state == NoticeState.SENT:
        changes["sent_at"] = Now()
    elif notice.state == NoticeState.WAITING:
        changes["next_attempt_at"] = Now() + doubled_wait(notice.attempts, FIRST_DELAY, LONGEST_DELAY)
    Notice.objects.filter(pk=notice.pk, state=NoticeState.HANDED_OVER).update(**changes)
