"""The alerts of the overview: what is wrong, what to do, and where."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from kernel.timestamps import format_minute
from wallet.delivery.models import WebhookEndpoint
from wallet.ledger.models import ProposalState
from wallet.programme.querysets import DueState
from wallet.queries import alerts, due_credits
from wallet.queries.proposals import count_waiting
from wallet.queries.webhooks import failing_endpoints
from wallet.tasks import SWEEP

MAX_POOLS = 5


@dataclass(frozen=True)
class Alert:
    """One alert: a sentence, what to do, and the page to go to."""

    title: str
    advice: str
    url: str
    link: str


def current_alerts() -> list[Alert]:
    """Return the alerts, the most urgent first."""
    tasks = alerts.task_state(SWEEP)
    return [
        *scheduler_alerts(tasks),
        *seal_alerts(alerts.oldest_late_record()),
        *proposal_alerts(count_waiting()),
        *failed_task_alerts(tasks.failed),
        *rule_alerts(due_credits.alarming_rules()),
        *review_alerts(due_credits.undecided_referrals()),
        *webhook_alerts(failing_endpoints()),
        *pool_alerts(alerts.low_pools()),
    ]


def scheduler_alerts(tasks: alerts.TaskState) -> list[Alert]:
    """Return the alert that the scheduler is late, if it is."""
    if not tasks.is_late:
        return []
    last = tasks.last_success
    title = (
        _("The scheduler is late: expired credits were last swept at %(time)s UTC.") % {"time": format_minute(last)}
        if last
        else _("The scheduler has not run in the last 24 hours.")
    )
    return [Alert(title, _("Check that manage.py qcluster is running."), reverse("system"), _("System"))]


def seal_alerts(oldest: datetime | None) -> list[Alert]:
    """Return the alert that seals are behind, if they are."""
    if oldest is None:
        return []
    minutes = int((timezone.now() - oldest).total_seconds() // 60)
    title = ngettext(
        "Seals are behind: a claim or payment has been waiting for its seal for %(minutes)s minute.",
        "Seals are behind: a claim or payment has been waiting for its seal for %(minutes)s minutes.",
        minutes,
    ) % {"minutes": f"{minutes:,}"}
    advice = _("Check that the scheduler is running and that no transaction is left open, or run manage.py seal_ledger.")
    return [Alert(title, advice, reverse("system"), _("System"))]


def proposal_alerts(waiting: int) -> list[Alert]:
    """Return the alert about proposals that wait for an operator, if any do."""
    if not waiting:
        return []
    title = ngettext("%(count)s action waits for approval.", "%(count)s actions wait for approval.", waiting)
    url = f"{reverse('admin:ledger_proposal_changelist')}?state={ProposalState.PENDING}"
    advice = _("Another operator than the one who asked decides.")
    return [Alert(title % {"count": f"{waiting:,}"}, advice, url, _("Approvals"))]


def failed_task_alerts(failed: int) -> list[Alert]:
    """Return the alert about background tasks that failed in the last 24 hours, if any did."""
    if not failed:
        return []
    title = ngettext(
        "%(count)s background task failed in the last 24 hours.",
        "%(count)s background tasks failed in the last 24 hours.",
        failed,
    ) % {"count": f"{failed:,}"}
    return [Alert(title, _("See which task failed; a superuser can read why and retry it."), reverse("system"), _("System"))]


RULE_TITLES = {
    DueState.SOLD_OUT: gettext_noop("%(rule)s owes %(count)s credits, and %(pool)s is sold out."),
    DueState.CLOSED: gettext_noop("%(rule)s owes %(count)s credits, and %(pool)s is closed."),
    DueState.QUEUED: gettext_noop("%(rule)s is late: %(count)s credits are due and not granted."),
}


def rule_alerts(waiting: list[due_credits.WaitingRule]) -> list[Alert]:
    """Return an alert for each rule that owes credits which it cannot grant."""
    return [rule_alert(each) for each in waiting]


def rule_alert(waiting: due_credits.WaitingRule) -> Alert:
    """Return the alert about one rule."""
    names = {"rule": waiting.rule.name, "pool": waiting.rule.pool.name, "count": f"{waiting.count:,}"}
    title = _(RULE_TITLES[waiting.reason]) % names
    if waiting.reason is DueState.QUEUED:
        return Alert(title, _("Check that manage.py qcluster is running."), reverse("system"), _("System"))
    advice = _("Issue credits or open the pool: they are then granted within seconds. Or pause the rule.")
    return Alert(title, advice, reverse("admin:assets_creditpool_change", args=[waiting.rule.pool_id]), _("Open the pool"))


def review_alerts(undecided: int) -> list[Alert]:
    """Return the alert about referrals that wait for an operator, if any do."""
    if not undecided:
        return []
    title = ngettext("%(count)s referral waits for review.", "%(count)s referrals wait for review.", undecided)
    url = f"{reverse('admin:programme_referral_changelist')}?review=undecided"
    return [Alert(title % {"count": f"{undecided:,}"}, _("Approve or refuse each."), url, _("Referrals"))]


def webhook_alerts(failing: list[WebhookEndpoint]) -> list[Alert]:
    """Return an alert about the webhooks that do not arrive, if there are any."""
    if not failing:
        return []
    title = ngettext(
        "%(count)s webhook is failing: %(service)s does not get its events.",
        "%(count)s webhooks are failing, the first of %(service)s: their services do not get their events.",
        len(failing),
    ) % {"count": f"{len(failing):,}", "service": failing[0].service.name}
    advice = _("See why in its log, tell the service, and send again when its receiver works.")
    return [Alert(title, advice, reverse("webhooks"), _("Webhooks"))]


def pool_alerts(low: list[alerts.LowPool]) -> list[Alert]:
    """Return an alert for each pool that is nearly sold out, and one for the rest beyond MAX_POOLS."""
    shown = [pool_alert(pool) for pool in low[:MAX_POOLS]]
    rest = len(low[MAX_POOLS:])
    if not rest:
        return shown
    title = ngettext("%(count)s more pool is nearly sold out.", "%(count)s more pools are nearly sold out.", rest)
    url = reverse("admin:assets_creditpool_changelist")
    return [*shown, Alert(title % {"count": f"{rest:,}"}, _("Issue more credits, or pause the pools."), url, _("Pools"))]


def pool_alert(pool: alerts.LowPool) -> Alert:
    """Return the alert about one pool."""
    counts = {"pool": pool.name, "left": f"{pool.left:,}", "issued": f"{pool.issued:,}"}
    title = (
        _("%(pool)s is nearly sold out: %(left)s of %(issued)s credits left.")
        if pool.left
        else _("%(pool)s is sold out: all %(issued)s credits are claimed or expired.")
    ) % counts
    url = reverse("admin:assets_creditpool_change", args=[pool.pk])
    return Alert(title, _("Issue more credits, or pause the pool."), url, _("Open the pool"))
