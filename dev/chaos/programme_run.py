"""The run of one experiment with schedulers: a fresh database, a shop, receivers, a mail server, the fault, and the verdict."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.db import connection
from django.db.models import F

from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, fresh_database, judge_run
from dev.chaos.mail_server import MailServer, running_mail_server
from dev.chaos.money_mutants import execute
from dev.chaos.payment_races import NO_CLAIMS
from dev.chaos.programme_checks import (
    LATE,
    due_violations,
    email_violations,
    feed_violations,
    notice_violations,
    time_violations,
    webhook_violations,
)
from dev.chaos.programme_load import Customers, FeedReader, Programme, create_programme
from dev.chaos.scheduler_process import SchedulerPlan
from dev.chaos.schedulers import Scheduler, running_schedulers
from dev.chaos.webhook_receiver import Receiver, running_receiver
from dev.chaos.wrong_schedulers import WRONG
from wallet.actions.edit_webhook import add_webhook
from wallet.delivery.models import WebhookEndpoint
from wallet.delivery.ticks import append_tick, last_tick
from wallet.ledger.models import Grant, Movement
from wallet.notices.models import Notice, NoticeCursor, NoticeState
from wallet.verification.checker import Violation, fetch_rows

QUIET_SECONDS = 60  # within which all that is due is done after the fault
CUSTOMERS_PER_SECOND = 40  # more than there will be
ANSWERS: tuple[int | str, ...] = (*[200] * 9, 500, "cut", "lose")  # of an unreliable receiver: a quarter fails


@dataclass
class RunningProgramme:
    """All that a fault may act on while schedulers run."""

    experiment: Experiment
    programme: Programme
    plan: SchedulerPlan
    schedulers: list[Scheduler]
    receivers: list[Receiver]
    mail: MailServer
    random: random.Random
    more: list[Violation] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many schedulers were killed by now."""
        return sum(scheduler.kills for scheduler in self.schedulers)

    def moments(self, shortest: float, longest: float) -> Iterator[float]:
        """Wait a random time, yield the seconds that have passed, and so on until the experiment's time is over."""
        begun = time.monotonic()
        while time.monotonic() - begun < self.experiment.seconds:
            time.sleep(self.random.uniform(shortest, longest))
            yield time.monotonic() - begun


Inject = Callable[[RunningProgramme], int]
Prepare = Callable[[Programme], None]


def run_programme(
    experiment: Experiment,
    inject: Inject,
    *,
    supply: int = 0,
    prepare: Prepare = lambda _: None,
    afterwards: Callable[[RunningProgramme], None] = lambda _: None,
    schedulers: int = 2,
    is_alone: bool = False,
    wrong: str = "",
    quiet: float = QUIET_SECONDS,
) -> Outcome:
    """Let schedulers run and customers come while `inject` injects the fault (it returns how often), and check the result.

    Arguments:
        supply: the credits of each rule's pool; 0: enough.
        prepare: prepares the programme before customers come.
        afterwards: called when the fault is over and no customer comes any more.
        schedulers: how many run from the start.
        is_alone: whether no customers come and no receiver fails, because `inject` controls each step.
        wrong: the wrong implementation that the schedulers run.
        quiet: how long to wait until everything is done.
    """
    fresh_database(experiment)
    enough = round(CUSTOMERS_PER_SECOND * (experiment.seconds + 2))
    programme = create_programme(supply or enough, enough)
    for statement in WRONG[wrong].statements if wrong else ():
        execute(statement)
    with running_programme(experiment, programme, schedulers, wrong, failing=not is_alone) as running, FeedReader() as reader:
        prepare(programme)
        with nullcontext() if is_alone else Customers(programme, experiment.seed):
            count = inject(running)
        afterwards(running)
        waited = wait_until_quiet(running, quiet)
        reader.finish()
    found = [*running.more, *judge_programme(running, reader)]
    outcome = judge_run([], NO_CLAIMS, count, experiment.least, more=found)
    return replace(outcome, claims=Grant.objects.count(), note=figures(running, reader, waited))


@contextmanager
def running_programme(
    experiment: Experiment, programme: Programme, schedulers: int, wrong: str, *, failing: bool
) -> Iterator[RunningProgramme]:
    """Run a mail server, a receiver, if `failing` one that fails a quarter of the time and a dead one, and the schedulers."""
    generator = experiment.random
    unreliable = Receiver(answer=lambda: generator.choice(ANSWERS))
    receivers, dead = ([Receiver(), unreliable], [Receiver(answer=lambda: 500)]) if failing else ([Receiver()], [])
    with ExitStack() as stack:
        mail = stack.enter_context(running_mail_server())
        for receiver in [*receivers, *dead]:
            stack.enter_context(running_receiver(receiver))
            receiver.secret = add_webhook(programme.shop, receiver.url).secret
        settings = connection.settings_dict
        plan = SchedulerPlan({"NAME": settings["NAME"], "USER": APP_ROLE}, mail.port, wrong=wrong)
        started = stack.enter_context(running_schedulers(plan, schedulers))
        yield RunningProgramme(experiment, programme, plan, started, receivers, mail, experiment.random)


def look_at_mornings_again() -> None:
    """Move the cursor of the digests back by a day: they are looked for again, and no person may get the same one again."""
    NoticeCursor.objects.filter(source="mornings").update(at=F("at") - timedelta(days=1))


def wait_until_quiet(running: RunningProgramme, seconds: float) -> float:
    """Wait until the schedulers have done all that is due, at most so many seconds; return how long."""
    begun = time.monotonic()
    while not is_quiet(running) and time.monotonic() - begun < seconds:
        time.sleep(0.1)
    return time.monotonic() - begun


def is_quiet(running: RunningProgramme) -> bool:
    """Return whether all that is due was granted, noticed, sent, delivered and swept."""
    append_tick()
    expected = {due.grant_reference for due in running.programme.expected}
    granted = set(Grant.objects.filter(reference__startswith="rule:").values_list("reference", flat=True))
    recorded = Notice.objects.exclude(kind="ending_soon").count()
    to_record = Grant.objects.count() + Movement.objects.filter(kind="REFUND").count()
    waiting = Notice.objects.filter(state=NoticeState.WAITING, payload__not_before__isnull=True)
    alive = WebhookEndpoint.objects.filter(url__in=[receiver.url for receiver in running.receivers])
    behind = alive.exclude(cursor=str(last_tick()))
    return (
        expected <= granted
        and recorded >= to_record
        and not waiting.exists()
        and not behind.exists()
        and not fetch_rows(connection, LATE)
    )


def judge_programme(running: RunningProgramme, reader: FeedReader) -> list[Violation]:
    """Return what is wrong after the run."""
    programme = running.programme
    sent = {f"movement_{pk}" for pk in Movement.objects.filter(service=programme.shop).values_list("pk", flat=True)}
    found = [complaint for scheduler in running.schedulers for complaint in scheduler.complaints()]
    found += due_violations(programme.expected)
    found += notice_violations(programme.ending)
    found += email_violations(running.mail, running.kills)
    for receiver in running.receivers:
        found += webhook_violations(receiver, sent)
    return [*found, *feed_violations([(event.id, event.data) for event in reader.events]), *time_violations()]


def figures(running: RunningProgramme, reader: FeedReader, waited: float) -> str:
    """Return what was counted, in words."""
    unsure = Notice.objects.filter(state=NoticeState.HANDED_OVER).count()
    kept = [message_id for receiver in running.receivers for message_id in receiver.ids]
    again = len(kept) - sum(len(set(receiver.ids)) for receiver in running.receivers)
    return (
        f"{len(running.programme.expected):,} credits due, {Notice.objects.count():,} notices, {len(running.mail.accepted):,}"
        f" emails ({unsure} not confirmed), {len(reader.events):,} events in the feed, {len(kept):,} webhooks"
        f" ({again} sent again); all done after {waited:.1f} s"
    )
