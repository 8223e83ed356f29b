"""Scheduled tasks, run by django-q2, and their schedules. Each task may run twice, late, or concurrently with itself."""

import time
from pathlib import Path

from django.conf import settings

from accounts import sessions, tokens
from wallet.actions import (
    bulk_jobs,
    claw_back_refunded,
    deliver_webhooks,
    end_holds,
    expire_assets,
    export_seals,
    grant_dues,
    issue_on_demand,
    lapse_credits,
    open_lots,
    open_scheduled,
    record_notices,
    seal_ledger,
    send_notices,
)
from wallet.assets.change_context import acting_through_channel
from wallet.ledger import idempotency

SWEEP = "Expire due credits"
SEAL = "Seal the ledger"
EXPORT_SEALS = "Export seals"
CLEAN_UP = "Clean up idempotency keys"
BULK_JOBS = "Continue bulk jobs"
OPEN = "Open scheduled credits"
REFILL = "Issue credits on demand"
WALLETS = "End holds and lapse ended credits"
GRANTS = "Grant what rules owe"
WEBHOOKS = "Send webhooks"
NOTICES = "Send notices"
SWEEP_SECONDS = 50  # the next sweep starts a minute after this one
NOTICE_SECONDS = 15  # the worker also sweeps
REST_RATIO = 9.0  # pause after each batch, in multiples of its duration: the sweep works a tenth of the time
WALLETS_REST = 4.0  # ending holds and lapsing credits works a fifth of the time
OPEN_LOTS_REST = 1.0  # opening lots works half of the time: until it is done, nothing is paid
GRANTS_REST = 1.0  # granting works half of the time
BATCH_SIZE = 200  # a small batch occupies the core and the disk only briefly
WEBHOOKS_SECONDS = 58  # the next round starts a minute after this one
JOB_SECONDS = 20  # a worker that sealing also needs
JOB_REST_RATIO = 4.0
# name: (dotted path, cron). `manage.py schedule_tasks` writes them to the database.
SCHEDULES = {
    SWEEP: ("wallet.tasks.sweep", "* * * * *"),
    SEAL: ("wallet.tasks.seal_for_a_minute", "* * * * *"),
    EXPORT_SEALS: ("wallet.tasks.publish_seals", "* * * * *"),
    BULK_JOBS: (bulk_jobs.RUNNER, "* * * * *"),
    WALLETS: ("wallet.tasks.sweep_wallets", "* * * * *"),
    OPEN: ("wallet.tasks.open_scheduled_credits", "* * * * *"),
    REFILL: ("wallet.tasks.refill", "* * * * *"),
    GRANTS: ("wallet.tasks.grant_for_a_minute", "* * * * *"),
    WEBHOOKS: ("wallet.tasks.send_webhooks", "* * * * *"),
    NOTICES: ("wallet.tasks.notify_people", "* * * * *"),
    CLEAN_UP: ("wallet.tasks.forget_old_answers", "17 3 * * *"),
}


def sweep() -> int:
    """Mark due credits EXPIRED and return their number. Pauses keep claims fast, even with a million due at once."""
    with acting_through_channel("scheduler"):
        return expire_assets.expire_due(batch_size=BATCH_SIZE, rest=REST_RATIO, seconds=SWEEP_SECONDS)


def open_scheduled_credits() -> int:
    """Make scheduled credits claimable that are due; return how many."""
    with acting_through_channel("scheduler"):
        return open_scheduled.open_due_credits(rest=WALLETS_REST, seconds=SWEEP_SECONDS)


def refill() -> int:
    """Issue the next credits of pools with a budget that have few left; return how many pools were looked at."""
    with acting_through_channel("scheduler"):
        return issue_on_demand.refill_pools()


def sweep_wallets() -> int:
    """End holds that are over and record the lapse of ended credits; return how many. After an upgrade, open lots first."""
    with acting_through_channel("scheduler"):
        if not open_lots.open_lots(rest=OPEN_LOTS_REST, seconds=SWEEP_SECONDS):
            return 0
        half = SWEEP_SECONDS / 2
        ended = end_holds.end_due_holds(rest=WALLETS_REST, seconds=half)
        return ended + lapse_credits.lapse_ended_credits(rest=WALLETS_REST, seconds=half)


def notify_people() -> int:
    """Write the notices that are due and send those that wait; return how many emails were sent."""
    try:
        record_notices.record_notices()
    finally:  # what was written before leaves all the same
        sent = send_notices.send_waiting_notices(seconds=NOTICE_SECONDS)["SENT"]
    return sent


def seal_for_a_minute(every: float = 4, rounds: int = 14) -> int:
    """Seal closed entries now and every few seconds, as a schedule's shortest interval is a minute.

    Arguments:
        every: seconds between two rounds.

    Returns the number of sealed entries.
    """
    count = 0
    for round_number in range(rounds):
        time.sleep(every if round_number else 0)
        count += sum(seal.count for seal in seal_ledger.seal_all())
    return count


def grant_for_a_minute(every: float = 4, rounds: int = 14) -> int:
    """Take back what refunded payments earned and grant what rules owe, now and every few seconds; return the number of granted
    credits (arguments: seal_for_a_minute).
    """
    count, next_round = 0, time.monotonic()
    with acting_through_channel("scheduler"):
        for _round in range(rounds):
            time.sleep(max(0.0, next_round - time.monotonic()))
            next_round += every
            try:
                claw_back_refunded.claw_back_refunded()
            finally:  # a refund that cannot be handled stops no grant
                count += grant_dues.grant_due_credits(rest=GRANTS_REST, seconds=every)
    return count


def send_webhooks() -> int:
    """Add ticks to the stream of events and send webhooks for a minute; return the number of events that arrived."""
    return deliver_webhooks.deliver_webhooks(WEBHOOKS_SECONDS)


def publish_seals() -> int:
    """Export the new seals as SEAL_EXPORT_FILE and SEAL_EXPORT_COMMAND say, and return their number; 0 without the settings."""
    if not settings.SEAL_EXPORT_FILE:
        return 0
    return export_seals.export_seals(Path(settings.SEAL_EXPORT_FILE), settings.SEAL_EXPORT_COMMAND).count


def forget_old_answers() -> int:
    """Forget old idempotency keys; delete expired sign-ins and old lines of webhooks' logs, and return how many."""
    idempotency.forget_old_keys()
    signs = tokens.delete_expired_families() + sessions.delete_expired_sessions()
    return signs + deliver_webhooks.delete_old_attempts()


def run_bulk_jobs() -> None:
    """Work on the oldest bulk job for a while; then the rest is queued again, behind the sealing and the sweep.

    An operator's action queues this at once. The schedule goes on with a job whose worker was killed.
    """
    if bulk_jobs.run_next_job(seconds=JOB_SECONDS, rest=JOB_REST_RATIO) and bulk_jobs.has_unfinished_jobs():
        bulk_jobs.enqueue()
