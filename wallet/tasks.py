"""The clock's door: what django-q2 runs, and when. Each task may run twice, late, or at once with itself."""

import time

from accounts import tokens
from wallet.actions import expire_assets, seal_ledger
from wallet.assets.change_context import acting_through_channel
from wallet.ledger import idempotency

SWEEP = "Expire due credits"
SEAL = "Seal the ledger"
FORGET = "Forget old answers"
SWEEP_SECONDS = 50  # the next begins a minute after this one
REST = 9.0  # of ten parts of its time the sweep works one
BATCH = 200  # and a part is short: nobody waits long for the core or the disk that it has
# name: (dotted path, cron); made by `manage.py schedule_tasks`.
SCHEDULES = {
    SWEEP: ("wallet.tasks.sweep", "* * * * *"),
    SEAL: ("wallet.tasks.seal_for_a_minute", "* * * * *"),
    FORGET: ("wallet.tasks.forget_old_answers", "17 3 * * *"),
}


def sweep() -> int:
    """Mark what is due EXPIRED; returns how many. A million that end at once are nobody's hurry: claims go first."""
    with acting_through_channel("scheduler"):
        return expire_assets.expire_due(batch_size=BATCH, rest=REST, seconds=SWEEP_SECONDS)


def seal_for_a_minute(every: float = 4, rounds: int = 14) -> int:
    """Seal what is closed now and every few seconds, for the schedule knows no less than a minute; returns how many entries."""
    count = 0
    for turn in range(rounds):
        time.sleep(every if turn else 0)
        count += sum(seal.count for seal in seal_ledger.seal_all())
    return count


def forget_old_answers() -> int:
    """Delete idempotency answers older than 7 days, and sign-ins whose tokens have ended; returns how many."""
    return idempotency.delete_old_keys() + tokens.delete_expired_families()
