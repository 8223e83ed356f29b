"""A scheduler in a process of its own, which an experiment can kill: the product's tasks, each repeated in a thread."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import time_machine
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.backends.signals import connection_created

from dev.chaos.wrong_schedulers import WRONG
from kernel.refusals import Refusal
from wallet import tasks
from wallet.actions import deliver_webhooks
from wallet.delivery.ticks import append_tick

PAUSE_SECONDS = 0.05
FAILED = 70  # the exit code of a scheduler whose task raised what it should not
WEBHOOK_TIMEOUT, WEBHOOK_RETRY = 0.3, 0.01  # seconds: a killed worker's lease ends soon, and a failed message is sent again
SAVE_SECONDS, TICK_SECONDS, LOOK_SECONDS = 0.3, 0.1, 0.05
WHOLE_RUN_SECONDS = 3_600


@dataclass(frozen=True)
class SchedulerPlan:
    """What a scheduler process works on, and what is wrong with it.

    Arguments:
        database: the settings of its database that differ from those of the process that starts it.
        mail_port: of the mail server on this machine.
        clock_ahead: how far its clock is ahead; negative: behind.
        wrong: the wrong implementation that it runs, of WRONG; empty: the product.
        task: of ONCE, the only one that it runs, once; empty: all, until it is killed.
        kill_at: the number of the statement at which it kills itself; 0: at none.
        kill_before: before the statement rather than after it.
    """

    database: Mapping[str, Any]
    mail_port: int
    clock_ahead: timedelta = timedelta(0)
    wrong: str = ""
    task: str = ""
    kill_at: int = 0
    kill_before: bool = True


def send_once() -> None:
    """Send to each endpoint what there is for it, one endpoint after the other."""
    append_tick()
    for pk in deliver_webhooks.due_endpoints(deliver_webhooks.MAX_CONCURRENT):
        deliver_webhooks.deliver_to(pk, time.monotonic() + deliver_webhooks.RUN_SECONDS)


# The tasks as a cluster runs them, in shorter rounds.
REPEATED: tuple[Callable[[], Any], ...] = (
    partial(tasks.grant_for_a_minute, every=0.1, rounds=5),
    tasks.notify_people,
    partial(deliver_webhooks.deliver_webhooks, WHOLE_RUN_SECONDS),
    partial(tasks.seal_for_a_minute, every=0.5, rounds=2),
    tasks.sweep,
    tasks.sweep_wallets,
    tasks.open_scheduled_credits,
)
# The tasks whose steps are killed one by one.
ONCE: dict[str, Callable[[], Any]] = {
    "grants": partial(tasks.grant_for_a_minute, every=0, rounds=1),
    "notices": tasks.notify_people,
    "webhooks": send_once,
}


def run_scheduler(plan: SchedulerPlan) -> None:
    """Run the plan's tasks; the target of the process."""
    prepare(plan)
    if plan.task:
        ONCE[plan.task]()
        return
    for task in REPEATED:
        threading.Thread(target=repeat, args=(task,), daemon=True).start()
    threading.Event().wait()


def prepare(plan: SchedulerPlan) -> None:
    """Set this process up as the plan says."""
    connection.settings_dict |= plan.database
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", plan.mail_port
    settings.WEBHOOK_TIMEOUT, settings.WEBHOOK_RETRY_SECONDS = WEBHOOK_TIMEOUT, WEBHOOK_RETRY
    deliver_webhooks.SAVE_SECONDS, deliver_webhooks.TICK_SECONDS = SAVE_SECONDS, TICK_SECONDS
    deliver_webhooks.PAUSE_SECONDS = LOOK_SECONDS
    if plan.clock_ahead:
        time_machine.travel(datetime.now(UTC) + plan.clock_ahead, tick=True).start()
    if plan.wrong:
        WRONG[plan.wrong].patch()
    if plan.kill_at:
        KilledAtStatement(plan.kill_at, before=plan.kill_before).watch()


def repeat(task: Callable[[], Any]) -> None:
    """Run a task again and again; end the process when it raises what a busy or lost database does not explain."""
    while True:
        try:
            task()
        except (Refusal, DatabaseError, InterfaceError):
            connection.close()
        except BaseException:  # noqa: BLE001  (the experiment sees the exit code)
            os._exit(FAILED)
        time.sleep(PAUSE_SECONDS)


@dataclass
class KilledAtStatement:
    """Kills the process before or after its n-th statement."""

    number: int
    before: bool
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def watch(self) -> None:
        """Count the statements of every connection that is opened."""
        connection_created.connect(self.wrap, weak=False)

    def wrap(self, connection: Any, **_: Any) -> None:
        """Count the statements of a connection."""
        if self.run not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.run)

    def run(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Run a statement, unless it is the last one."""
        is_last = next(self.numbers) == self.number
        if is_last and self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = execute(sql, params, many, context)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
