"""The clock's door: what django-q2 runs, and when. Each task may run twice, late, or at once with itself."""

from wallet import expiry
from wallet.ledger import idempotency

SWEEP = "Expire due credits"
FORGET = "Forget old answers"
# name: (dotted path, cron); made by `manage.py schedule_tasks`.
SCHEDULES = {
    SWEEP: ("wallet.tasks.sweep", "* * * * *"),
    FORGET: ("wallet.tasks.forget_old_answers", "17 3 * * *"),
}


def sweep() -> int:
    """Mark what is due EXPIRED; returns how many."""
    return expiry.expire_due()


def forget_old_answers() -> int:
    """Delete idempotency answers older than 7 days; returns how many."""
    return idempotency.forget_old()
