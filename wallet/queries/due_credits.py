"""What rules owe and have not granted yet, for the overview and for a dry run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now
from django.utils import timezone

from wallet.programme.models import GrantDue, GrantRule, Referral
from wallet.programme.querysets import DueState

MAX_COUNTED = 5_000  # a count of all that waits for supply would grow with it
LATE = timedelta(minutes=2)  # what can be granted is granted within seconds


@dataclass(frozen=True)
class WaitingRule:
    """A rule with credits that are due: why they wait (a DueState), how many (at most MAX_COUNTED), and since when."""

    rule: GrantRule
    reason: DueState
    count: int
    since: datetime


def waiting_rules() -> list[WaitingRule]:
    """Return each rule that owes something, by one look at the index of what is due per rule. Held referrals are left out."""
    rules = GrantRule.objects.with_supply().select_related("pool").order_by("name")
    return [waiting for rule in rules if (waiting := waiting_of(rule)) is not None]


def waiting_of(rule: GrantRule) -> WaitingRule | None:
    """Return what a rule owes, None if that is nothing."""
    dues = GrantDue.objects.filter(rule=rule, entry=None, next_try_at__isnull=False)
    if rule.is_active and rule.is_open and rule.has_supply:
        dues = dues.filter(refusal="", next_try_at__lte=Now())  # postponed ones are refused, and may be many
    first = dues.order_by("next_try_at", "pk").first()
    if first is None:
        return None
    return WaitingRule(rule, reason_of(rule), dues[:MAX_COUNTED].count(), first.created_at)


def reason_of(rule: GrantRule) -> DueState:
    """Return what keeps a rule from granting."""
    if not rule.is_active:
        return DueState.PAUSED
    if not rule.is_open:
        return DueState.CLOSED
    return DueState.QUEUED if rule.has_supply else DueState.SOLD_OUT


def alarming_rules() -> list[WaitingRule]:
    """Return the active rules that owe something and cannot grant it, or have not done so in time."""
    return [waiting for waiting in waiting_rules() if is_alarming(waiting)]


def is_alarming(waiting: WaitingRule) -> bool:
    """Return whether an operator should look at it."""
    if waiting.reason is DueState.QUEUED:
        return timezone.now() - waiting.since > LATE
    return waiting.reason is not DueState.PAUSED


def undecided_referrals() -> int:
    """Return how many referrals wait for an operator."""
    return Referral.objects.undecided().count()
