"""Five wrong implementations of what the scheduler does: patches of its process, and the rules of PostgreSQL that are off."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from kernel.uuid7 import uuid7
from wallet.actions import deliver_webhooks, grant_dues, record_notices, send_notices
from wallet.actions.grant_credit import claim_for
from wallet.delivery.cursors import parse_cursor
from wallet.delivery.feed import MAX_PART, read_events
from wallet.delivery.messages import send_event
from wallet.ledger.models import Grant
from wallet.notices.handover import HandoverResult
from wallet.notices.models import Notice, NoticeCursor, NoticeState
from wallet.programme.models import GrantDue
from wallet.programme.querysets import GrantDueQuerySet

MOMENT = 0.1  # between looking and writing, in which another scheduler looks too
ANY_GRANT_OF_DUE = """
DO $$
DECLARE definition text;
BEGIN
    SELECT pg_get_functiondef(tgfoid) INTO definition FROM pg_trigger WHERE tgname LIKE 'pgtrigger_due_granted_%';
    EXECUTE replace(definition, 'AND due.entry_id IS NULL', '');
END $$
"""
DROP_DUE_FINAL = """
DO $$
DECLARE name text;
BEGIN
    SELECT tgname INTO name FROM pg_trigger WHERE tgname LIKE 'pgtrigger_due_final_%';
    EXECUTE format('DROP TRIGGER %I ON programme_grantdue', name);
END $$
"""


@dataclass(frozen=True)
class WrongScheduler:
    """A patch, and the statements that remove the rules with which PostgreSQL would refuse it."""

    patch: Callable[[], None]
    statements: tuple[str, ...] = ()


def grant_without_lock() -> None:
    """Look whether a due is granted, and grant it a moment later."""

    def grant_due(due_id: int) -> bool:
        with transaction.atomic():
            due = GrantDue.objects.select_related("rule", "user").filter(pk=due_id, entry=None).first()
            if due is None:
                return False
            time.sleep(MOMENT)
            entry = claim_for(due.user, due.user, due.rule.pool_id, uuid7())
            Grant.objects.create(entry=entry, reference=due.grant_reference, reason="rule", fingerprint="")
        return True

    grant_dues.grant_due = grant_due


def record_without_key() -> None:
    """Read the ledger behind a cursor that is not locked."""

    def lock_cursor(source: str) -> NoticeCursor:
        cursor, _ = NoticeCursor.objects.get_or_create(source=source)
        time.sleep(MOMENT)
        return cursor

    record_notices.lock_cursor = lock_cursor


def mark_after_sending() -> None:
    """Send a notice, and mark it only then."""

    def take_next_notice() -> Notice | None:
        waiting = Notice.objects.filter(state=NoticeState.WAITING, next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")
        notice = waiting.select_related("user").first()
        if notice is not None:
            notice.state = NoticeState.HANDED_OVER
        return notice

    def record_handover(notice: Notice, result: HandoverResult) -> None:
        Notice.objects.filter(pk=notice.pk).update(state=NoticeState.SENT, handed_over_at=Now(), sent_at=Now())

    send_notices.take_next_notice, send_notices.record_handover = take_next_notice, record_handover


def save_before_sending() -> None:
    """Save the position after a page, and then send the page."""

    def send_pages(client: Any, run: deliver_webhooks.Run, until: float) -> Any:
        page = read_events(parse_cursor(run.endpoint.cursor), service=run.endpoint.service_id, limit=MAX_PART)
        run.endpoint.cursor = str(page.after)
        deliver_webhooks.save(run)
        for event in page.events:
            outcome = send_event(client, run.endpoint, event, run.clock.now())
            if not outcome.succeeded:
                return event, outcome
        return None

    deliver_webhooks.send_pages = send_pages


def ask_own_clock() -> None:
    """Decide by the clock of the scheduler's host what is due."""

    def to_try(dues: GrantDueQuerySet) -> GrantDueQuerySet:
        return dues.filter(entry=None, next_try_at__lte=timezone.now()).order_by("next_try_at", "pk")

    GrantDueQuerySet.to_try = to_try  # type: ignore[method-assign,assignment]
    record_notices.database_time = timezone.now  # type: ignore[attr-defined]


WRONG = {
    "granted without a lock": WrongScheduler(
        grant_without_lock, ("ALTER TABLE ledger_grant DROP CONSTRAINT grant_reference", ANY_GRANT_OF_DUE, DROP_DUE_FINAL)
    ),
    "noticed without a key": WrongScheduler(record_without_key, ("ALTER TABLE notices_notice DROP CONSTRAINT notice_once",)),
    "marked after sending": WrongScheduler(mark_after_sending),
    "position saved before sending": WrongScheduler(save_before_sending),
    "own clock asked": WrongScheduler(ask_own_clock),
}
