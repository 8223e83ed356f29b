"""Claw back what a payment earned when the whole payment was refunded while the credit was pending.

Refunds are read from the ledger in commit order behind a cursor, so that a refund itself costs nothing more. Each step may run
twice, concurrently or late: whether the credit was still pending is decided by the time of the refund.
"""

from collections.abc import Iterable

from django.db.models import Max

from kernel.transactions import Busy, atomic_with_retry
from wallet.actions.approvals import ApprovalRequired, AwaitsApproval
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.closed_ranges import end_of_range, start_of_range
from wallet.actions.payment_refusals import ClaimClawedBack
from wallet.actions.seal_ledger import closed_horizon
from wallet.ledger.models import Movement
from wallet.programme.events import PAYMENT_REFUNDED
from wallet.programme.models import GrantDue, RefundCursor

MAX_RANGE = 5_000  # movements read at a time
# A refund may be the last movement of a payment, or the release of what was not captured.
LAST_MOVEMENTS = ("REFUND", "RELEASE")


def claw_back_refunded() -> int:
    """Take back what refunded payments earned, and return how many credits were clawed back; stop while a wallet is busy."""
    count, end, horizon = 0, 0, 1
    while end < horizon:
        cursor = RefundCursor.objects.first() or create_cursor()
        horizon = closed_horizon()
        start = start_of_range(cursor.xid, horizon)
        end = end_of_range([Movement], start, horizon, MAX_RANGE)
        try:
            count += sum(map(take_back, dues_refunded_between(start, end)))
        except Busy:  # the next run reads the range again
            break
        move_cursor(cursor, end)
    return count


def create_cursor() -> RefundCursor:
    """Return the cursor at the beginning of the ledger."""
    RefundCursor.objects.bulk_create([RefundCursor(pk=1, xid=0)], ignore_conflicts=True)
    return RefundCursor.objects.get()


def move_cursor(cursor: RefundCursor, end: int) -> None:
    """Save how far the ledger was read, unless another scheduler was faster."""
    RefundCursor.objects.filter(xid=cursor.xid).update(xid=end)


def dues_refunded_between(start: int, end: int) -> Iterable[GrantDue]:
    """Return the dues of payments that were refunded as a whole, and had a refund or a release in the range."""
    movements = Movement.objects.filter(xid__gte=start, xid__lt=end, kind__in=LAST_MOVEMENTS)
    dues = GrantDue.objects.of_refunded_payments().filter(payment__in=movements.values("payment"))
    return dues.select_related("rule", "entry__lot").order_by("pk")


def take_back(due: GrantDue) -> bool:
    """Make sure that a due is not granted, or claw back its credit if it was pending; return whether it was clawed back."""
    if due.entry is None and cancel_due(due):
        return False
    due = GrantDue.objects.select_related("rule", "entry__lot").get(pk=due.pk)
    return due.entry is not None and was_pending(due) and claw_back(due)


@atomic_with_retry(idempotent=True)
def cancel_due(due: GrantDue) -> bool:
    """Never grant a due, for its payment was refunded; return False if it was granted meanwhile."""
    return GrantDue.objects.filter(pk=due.pk, entry=None).cancel()


def was_pending(due: GrantDue) -> bool:
    """Return whether the granted credit could not be spent yet when the payment's refund was complete."""
    assert due.entry is not None
    movements = Movement.objects.filter(payment=due.payment_id, kind__in=LAST_MOVEMENTS)
    refunded_at = movements.aggregate(at=Max("at"))["at"]
    return bool(refunded_at < due.entry.lot.spendable_from)


def claw_back(due: GrantDue) -> bool:
    """Claw back the credit of a due; return False if that was done before, or waits for another operator.

    Above the pool's approval threshold it is proposed in the name of the operator who opened the rule.
    """
    assert due.entry_id is not None
    key = f"payment-refunded-{due.pk}"
    try:
        return not clawback_credit(due.entry_id, reason=PAYMENT_REFUNDED, key=key).replayed
    except ClaimClawedBack:
        return False
    except ApprovalRequired:
        pass
    try:
        clawback_credit(due.entry_id, reason=PAYMENT_REFUNDED, key=key, actor=due.rule.created_by)
    except (AwaitsApproval, ClaimClawedBack):
        return False
    return True
