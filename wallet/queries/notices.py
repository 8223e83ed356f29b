"""Notices: a person's latest, their preferences, and what the next run would do."""

from django.db.models import QuerySet

from accounts.models import User
from kernel.statements import database_time, run_statements
from wallet.actions.record_notices import LEDGER, MAX_DIGESTS, MORNINGS, digests_due, start_after
from wallet.actions.seal_ledger import closed_horizon
from wallet.ledger.models import Grant, Movement
from wallet.notices.ending_credits import ENDING_CREDITS, ending_parameters
from wallet.notices.models import Notice, NoticeCursor, NoticeKind, NoticeOptOut, NoticeState


def notices_of(user: User) -> QuerySet[Notice]:
    """Return the user's notices, newest first."""
    return Notice.objects.filter(user=user).order_by("-id")


def notice_preferences(user: User) -> dict[str, bool]:
    """Return for each kind of email whether the user gets it."""
    unwanted = set(NoticeOptOut.objects.filter(user=user).values_list("kind", flat=True))
    return {kind.value: kind not in unwanted for kind in NoticeKind}


def preview_of_notices() -> dict[str, int]:
    """Return how many notices of each kind the next run would write (of digests, at most MAX_DIGESTS per group of time zones),
    and how many are `waiting` to be sent. Reads only.
    """
    cursors = {cursor.source: cursor for cursor in NoticeCursor.objects.all()}
    now, horizon = database_time(), closed_horizon()
    start = start_after(cursors.get(LEDGER) or NoticeCursor(source=LEDGER), horizon)
    digests = digests_due(cursors.get(MORNINGS) or NoticeCursor(source=MORNINGS), now)
    found = (run_statements({"people": ENDING_CREDITS}, ending_parameters(digest, MAX_DIGESTS)) for digest in digests)
    return {
        NoticeKind.ENDING_SOON: sum(len(rows["people"]) for rows in found),
        NoticeKind.GRANTED: Grant.objects.filter(entry__xid__gte=start, entry__xid__lt=horizon).count(),
        NoticeKind.REFUNDED: Movement.objects.filter(kind="REFUND", xid__gte=start, xid__lt=horizon).count(),
        "waiting": Notice.objects.filter(state=NoticeState.WAITING).count(),
    }
