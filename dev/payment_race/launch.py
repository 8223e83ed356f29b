"""Launch of a race of payments: a scratch database, a process for the runner, and its report."""

from collections.abc import Callable

from dev.payment_race.plan import PaymentPlan
from dev.payment_race.report import PaymentReport, from_json
from dev.race.launch import scratch_run
from wallet.verification.payment_log import PaymentAttempt, read_payment_log


def launch_payment_race(
    plan: PaymentPlan, progress: Callable[[str], None] = lambda _: None
) -> tuple[PaymentReport, list[PaymentAttempt]]:
    """Run a race and return its report and its log; the database of this process is not touched.

    Arguments:
        plan: the race.
        progress: called with "round" when a round begins, and with "verifying" at the end.

    Raises NoScratchDatabase, RaceFailed.
    """
    with scratch_run("dev.payment_race", plan, progress) as (report, folder):
        return from_json(report), list(read_payment_log(folder / "attempts.jsonl"))
