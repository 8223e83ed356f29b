"""Grant what rules owe: one due a transaction, in which claim, grant and due are written together, or none of them."""

import math
import time
from collections.abc import Iterable
from datetime import timedelta

from django.db import IntegrityError
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _

from kernel.refusals import Conflict, Refusal
from kernel.transactions import Busy, atomic_with_retry, violated_constraint
from kernel.waits import doubled_wait
from wallet.actions.claim_decisions import PoolClosed, PoolSoldOut
from wallet.actions.grant_credit import make_grant
from wallet.actions.proposal_parameters import GrantParameters
from wallet.actions.wallet_sweep import BATCH_SIZE, Progress, sweep_in_batches
from wallet.programme.models import GrantDue, GrantRule

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(days=1)  # before a refused due is tried again


class RuleCapReached(Conflict):
    code = "rule_cap_reached"
    meaning = _("The user has received as many credits from the rule as it allows per person.")
    detail = _("This person has reached the rule's limit per person. Raise the limit, or grant a credit by hand.")


def grant_due_credits(
    progress: Progress = lambda _: None, batch_size: int = BATCH_SIZE, *, rest: float = 0.0, seconds: float = math.inf
) -> int:
    """Grant everything that is due and can be granted now, and return how many credits (arguments: wallet_sweep).

    Safe to run twice, concurrently or late: each due is locked, and its grant has its reference. Dues of a paused rule, or of a
    pool that is closed or sold out, wait untouched; supply alone makes them ready again.
    """
    deadline = time.monotonic() + seconds
    return sweep_in_batches(lambda limit: grant_batch(limit, deadline), progress, batch_size, rest=rest, seconds=seconds)


def grant_batch(limit: int, deadline: float) -> tuple[int, int]:
    """Try up to `limit` dues of each rule that can grant; return how many were found and how many of them were granted."""
    found = granted = 0
    for rule in GrantRule.objects.ready().order_by("pk"):
        dues = list(GrantDue.objects.to_try().filter(rule=rule).values_list("pk", "attempts")[:limit])
        found += len(dues)
        granted += grant_while_possible(dues, deadline)
    return found, granted


def grant_while_possible(dues: Iterable[tuple[int, int]], deadline: float) -> int:
    """Grant dues of one rule, given by id and earlier attempts, until its pool has nothing left; return how many."""
    granted = 0
    for due_id, attempts in dues:
        if time.monotonic() >= deadline:
            break
        try:
            granted += grant_due(due_id)
        except (PoolClosed, PoolSoldOut, Busy):
            break
        except Refusal as refusal:
            postpone_due(due_id, attempts, refusal)
    return granted


@atomic_with_retry(idempotent=True)
def grant_due(due_id: int) -> bool:
    """Grant one due; return False if it is granted, postponed or being granted elsewhere, or its payment was refunded.

    Raises RuleCapReached, and what grant_credit raises.
    """
    dues = GrantDue.objects.to_try().select_related("rule", "user").filter(pk=due_id)
    due = dues.select_for_update(no_key=True, skip_locked=True, of=("self",)).first()
    if due is None:
        return False
    if GrantDue.objects.filter(pk=due_id).of_refunded_payments().exists():
        GrantDue.objects.filter(pk=due_id).cancel()
        return False
    try:
        request = GrantParameters(due.user_id, due.grant_reference, due.rule.event.lower())
        make_grant(due.user, due.rule.pool_id, request, actor=None, service=None)
    except IntegrityError as error:
        if violated_constraint(error) == "rule_cap":
            raise RuleCapReached from error
        raise
    return True


def postpone_due(due_id: int, attempts: int, refusal: Refusal) -> None:
    """Record why a due could not be granted, and try it again later: after a minute, then after twice as long each time."""
    pause = doubled_wait(attempts + 1, FIRST_PAUSE, LONGEST_PAUSE)
    waiting = GrantDue.objects.filter(pk=due_id, entry=None, attempts=attempts)
    waiting.update(attempts=F("attempts") + 1, refusal=refusal.code, next_try_at=Now() + pause)
