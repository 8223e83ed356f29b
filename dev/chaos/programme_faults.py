"""Faults of the programme: schedulers killed at any moment and at each step, pools sold out, and clocks that are wrong."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import count, cycle
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import User
from dev.chaos.experiment import Experiment, Outcome
from dev.chaos.programme_load import (
    REPORTED,
    Programme,
    claim_for,
    issue_equal_credits,
    new_customer,
    open_pool,
    pay_orders,
    report_twice,
)
from dev.chaos.programme_run import RunningProgramme, look_at_mornings_again, run_programme
from dev.chaos.scheduler_process import ONCE
from dev.chaos.schedulers import Scheduler
from dev.payment_race.client import PaymentClient
from dev.payment_race.transport import CURRENCY, DirectPayments
from kernel.statements import database_time
from wallet.actions import edit_rule
from wallet.actions.pay import pay
from wallet.actions.report_event import report_event
from wallet.assets.models import CashbackAsset
from wallet.delivery.models import WebhookEndpoint
from wallet.notices.models import Notice, NoticeKind
from wallet.programme.events import GrantEvent
from wallet.programme.models import GrantDue, GrantRule
from wallet.queries.alerts import low_pools
from wallet.verification.checker import Violation

SHORTEST, LONGEST = 0.05, 0.8  # seconds between two kills
FEW = 4  # credits of each pool at a time
SKEWS = tuple(timedelta(seconds=seconds) for seconds in (-691_200, 3_600, -86_400, 691_200, -3_600, 86_400))
LATER = timedelta(hours=1)
SOON = timedelta(seconds=2)


def kill_schedulers(experiment: Experiment) -> Outcome:
    """T50: two schedulers work on the same; one of them is killed again and again, at any moment."""
    return run_programme(experiment, kill_repeatedly)


def kill_repeatedly(running: RunningProgramme) -> int:
    """Kill one scheduler at random moments, start another in its place, and return how many."""
    for _ in running.moments(SHORTEST, LONGEST):
        restart_one(running)
        look_at_mornings_again()
    return running.kills


def restart_one(running: RunningProgramme, **changes: Any) -> None:
    """Kill one of the schedulers and start another in its place, by the plan with these changes."""
    victim = running.random.choice(running.schedulers)
    victim.kill()
    victim.start(**changes)


def kill_at_each_step(experiment: Experiment) -> Outcome:
    """T51: a scheduler is killed before or after each of its statements: while it grants, notices and sends."""
    return run_programme(experiment, step_through_tasks, schedulers=0, is_alone=True)


def step_through_tasks(running: RunningProgramme) -> int:
    """Kill each task at each of its statements, until the time is over; return how often."""
    stepped = Scheduler(running.plan)
    running.schedulers.append(stepped)
    user = new_customer(running.programme, "customer@example.com")
    payments = PaymentClient(DirectPayments(str(running.programme.shop.pk)), 0, running.experiment.seed)
    pay_orders(running.programme, payments, user)
    begun = time.monotonic()
    for first in cycle((True, False)):
        for task in ONCE:
            step_through(task, stepped, partial(give_work, running.programme, payments, user), before_first=first)
        if time.monotonic() - begun >= running.experiment.seconds:
            break
    stepped.start()  # it does the rest
    return stepped.kills


def step_through(task: str, stepped: Scheduler, add_work: Callable[[], None], *, before_first: bool) -> None:
    """Kill a task before its first statement, after its second and so on, or the other way round; and let it run after each."""
    for number in count(1):
        add_work()
        was_killed = stepped.run_once(task=task, kill_at=number, kill_before=before_first == bool(number % 2))
        wait_for_leases()
        if not was_killed:
            return
        stepped.run_once(task=task)


def give_work(programme: Programme, payments: PaymentClient, user: User) -> None:
    """Make a credit due, a refund to notice and events to send."""
    report_twice(programme, user, f"event {len(programme.expected)}")
    paid = payments.pay(str(user.pk), 2, capture=True).payment
    assert paid is not None
    payments.refund(str(user.pk), paid["id"], 2, f"refund {len(programme.expected)}")


def wait_for_leases() -> None:
    """Wait until no killed worker's lease holds."""
    while WebhookEndpoint.objects.filter(leased_until__gt=Now()).exists():
        time.sleep(0.02)


def sell_out(experiment: Experiment) -> Outcome:
    """T52: the rules' pools sell out again and again and are filled again, while schedulers are killed."""
    return run_programme(experiment, sell_out_repeatedly, supply=FEW, afterwards=fill_pools)


def sell_out_repeatedly(running: RunningProgramme) -> int:
    """Issue a few credits where there are none; return how often a pool was sold out while a person waited for its credits."""
    sold_out = 0
    for number, _ in enumerate(running.moments(SHORTEST, LONGEST / 2)):
        if number % 3 == 0:
            restart_one(running)
        pools = [rule.pool for rule in running.programme.rules.values() if is_sold_out(rule)]
        alerted = {pool.pk for pool in low_pools() if not pool.left}
        running.more += [
            Violation("alert", f"no alert says that {pool} is sold out") for pool in pools if pool.pk not in alerted
        ]
        for pool in pools:
            issue_equal_credits(pool, running.random.randint(1, FEW))
        sold_out += len(pools)
    return sold_out


def is_sold_out(rule: GrantRule) -> bool:
    """Return whether a rule owes credits and its pool has none."""
    owes = GrantDue.objects.filter(rule=rule, entry=None).exists()
    return owes and not CashbackAsset.objects.claimable().filter(pool=rule.pool_id).exists()


def fill_pools(running: RunningProgramme) -> None:
    """Note dues that were touched while they had to wait, and issue what is owed."""
    touched = GrantDue.objects.filter(~Q(refusal="") | Q(attempts__gt=0)).count()
    if touched:
        running.more.append(Violation("grant", f"{touched} credits were refused instead of waiting for their pool"))
    for rule in running.programme.rules.values():
        issue_equal_credits(rule.pool, GrantDue.objects.filter(rule=rule, entry=None).count())


def move_clocks(experiment: Experiment) -> Outcome:
    """T53: the clocks of both schedulers are wrong, by hours and days, ahead and behind: PostgreSQL's clock decides."""
    return run_programme(experiment, move_repeatedly, prepare=prepare_times, schedulers=0)


def move_repeatedly(running: RunningProgramme) -> int:
    """Run two schedulers with wrong clocks, move one of them at random moments, and return how often."""
    skews = cycle(SKEWS)
    for _ in range(2):
        running.schedulers.append(Scheduler(running.plan))
        running.schedulers[-1].start(clock_ahead=next(skews))
    moves = len(running.schedulers)
    for _ in running.moments(SHORTEST, LONGEST):
        restart_one(running, clock_ahead=next(skews))
        moves += 1
    return moves


def prepare_times(programme: Programme) -> None:
    """Prepare what is due in an hour, of which nothing may happen, and what is due in two seconds."""
    user, now = new_customer(programme, "waiting@example.com"), database_time()
    shop = programme.shop
    event = report_event(shop, user, name=REPORTED, reference="postponed").body["id"]
    GrantDue.objects.filter(reference=event).update(next_try_at=now + LATER)
    closed = open_pool("Opens later", FEW, opens_at=now + LATER)
    edit_rule.open_rule(programme.operator, name="Later", pool=closed, event=GrantEvent.REPORTED, event_name="early")
    report_event(shop, user, name="early", reference="early")
    for start in (LATER, SOON):
        issue_equal_credits(open_pool(f"Expires after {start}", 0), FEW, expires_at=database_time() + start)
        issue_equal_credits(open_pool(f"Starts after {start}", 0), FEW, claimable_from=database_time() + start)
        claim_for(open_pool(f"Ends after {start}", 1, valid_until=database_time() + start), user)
    pay(user, shop, currency=CURRENCY, amount=Decimal(3), reference="kept hold", capture=False)
    later = {"next_attempt_at": now + LATER, "payload": {"not_before": (now + LATER).isoformat()}}
    Notice.objects.create(user=user, kind=NoticeKind.ENDING_SOON, key="2000-01-01", **later)
