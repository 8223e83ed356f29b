"""The dashboard: figures of a period, what was claimed so far and the supply, and the reconciliation of issued credits."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.expensive_reads import SEARCH
from kernel import refusal_counts
from kernel.date_fields import DateField
from wallet.admin.alerts import current_alerts
from wallet.admin.base import require_operator
from wallet.admin.charts import Chart, build_chart
from wallet.assets.models import CreditPool
from wallet.money import format_amount_grouped
from wallet.queries import analytics
from wallet.queries.analytics import Period
from wallet.queries.supply import States

PERIODS = {
    "24h": gettext_lazy("Last 24 hours"),
    "7d": gettext_lazy("Last 7 days"),
    "30d": gettext_lazy("Last 30 days"),
    "90d": gettext_lazy("Last 90 days"),
}
HOURS = {"24h": 24, "7d": 7 * 24, "30d": 30 * 24, "90d": 90 * 24}
EXPIRING_DAYS = 14
FLOW_TITLES = {
    "issued": gettext_lazy("Issued"),
    "claimed": gettext_lazy("Claimed"),
    "expired": gettext_lazy("Expired"),
    "deleted": gettext_lazy("Deleted"),
}
STATE_TITLES = {
    "available": gettext_lazy("Available"),
    "claimed": gettext_lazy("Claimed in total"),
    "expired": gettext_lazy("Expired unclaimed"),
}
STATES = {
    "scheduled": gettext_lazy("scheduled"),
    "available": gettext_lazy("available"),
    "claimed": gettext_lazy("claimed"),
    "expired": gettext_lazy("expired"),
    "deleted": gettext_lazy("deleted"),
}
NONE = (0, Decimal(0))


class PeriodForm(forms.Form):
    """Selects the period and pool of the figures. Dates override the named period."""

    period = forms.ChoiceField(choices=list(PERIODS.items()), required=False)
    since = DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    pool = forms.ChoiceField(required=False)

    def __init__(self, data: Any, pools: dict[str, str]) -> None:
        super().__init__({"period": "7d"} | data)
        self.fields["pool"].choices = [("", _("All pools")), *pools.items()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse dates in the wrong order, or more than a year apart."""
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if until and until.year >= date.max.year:
            raise ValidationError({"until": _("Choose a date before the year 9999.")})
        if since and until and not since <= until < since + analytics.MAX_PERIOD:
            raise ValidationError({"until": _("Choose a date after the start, at most a year later.")})
        return cleaned

    def selected_period(self, now: datetime) -> Period:
        """Return the selected period, or the last 7 days when the form is empty or invalid."""
        values = self.cleaned_data if self.is_valid() else {}
        since, until = values.get("since"), values.get("until")
        if not since and not until:
            return Period(now - timedelta(hours=HOURS[values.get("period") or "7d"]), now)
        first: date = since or (until or now.date()) - timedelta(days=6)
        last: date = until or min(now.date(), first + analytics.MAX_PERIOD - timedelta(days=1))
        begin, end = (datetime.combine(day, time.min, UTC) for day in (first, max(first, last)))
        return Period(begin, end + timedelta(days=1))


def dashboard_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the index page. Raises RateLimited or ReadsBusy."""
    with SEARCH.for_user(require_operator(request)):
        return collect_figures(request, context)


def collect_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context with all figures, in a fixed number of grouped queries."""
    pools = {str(pk): name for pk, name in CreditPool.objects.order_by("name").values_list("pk", "name")}
    choice = PeriodForm(request.GET.dict(), pools)
    period = choice.selected_period(timezone.now())
    pool = choice.cleaned_data.get("pool") or None if choice.is_valid() else None
    supply = analytics.supply_states(pool)
    return context | {
        "title": _("Overview"),
        "choice": choice,
        "period": period,
        "panels": currency_panels(analytics.flows_by_currency(period, pool), supply),
        "claims": claims_chart(period, pool),
        "expiring": expiring_by_day(pool),
        "busiest": busiest_pool_rows(period, pool),
        "refusals": refusal_rows(period),
        "expiring_days": EXPIRING_DAYS,
        "reconciliation": reconciliation(supply, analytics.issued_by_log(pool), pools),
        "all_pools": pool is None,
        "alerts": current_alerts(),
    }


def currency_panels(flows: dict[str, States], supply: dict[tuple[Any, ...], States]) -> list[dict[str, Any]]:
    """Return the flows of the period and the current totals per currency."""
    now: dict[str, dict[str, tuple[int, Decimal]]] = {}
    for (code, *_rest), states in supply.items():
        add_states(now.setdefault(code, {}), states)
    return [
        {
            "currency": code,
            "moved": [
                build_figure(str(title), flows.get(code, {}).get(name, NONE), code) for name, title in FLOW_TITLES.items()
            ],
            "now": [
                build_figure(str(title), now.get(code, {}).get(state, NONE), code) for state, title in STATE_TITLES.items()
            ],
        }
        for code in sorted({*flows, *now})
    ]


def add_states(total: dict[str, tuple[int, Decimal]], states: States) -> None:
    """Add the counts and values of one group to a total."""
    for name, (count, value) in states.items():
        before = total.get(name, NONE)
        total[name] = (before[0] + count, before[1] + value)


def build_figure(title: str, state: tuple[int, Any], currency: str) -> dict[str, Any]:
    """Return one figure: its title, value and count."""
    return {"title": title, "value": format_amount_grouped(state[1], currency), "count": state[0]}


def claims_chart(period: Period, pool: str | None) -> Chart:
    """Return the chart of claims per hour or day."""
    shape = "%d %b %H:00" if period.step == "hour" else "%d %b"
    return build_chart([(f"{at:{shape}}", count, "") for at, count in analytics.claims_by_step(period, pool)])  # type: ignore[arg-type]


def expiring_by_day(pool: str | None) -> Chart:
    """Return the chart of claimable credits that expire within `EXPIRING_DAYS` days, by day."""
    today = timezone.now().astimezone(UTC).date()
    by_day: dict[date, list[dict[str, Any]]] = {today + timedelta(days=ahead): [] for ahead in range(EXPIRING_DAYS + 1)}
    for row in analytics.expiring_by_day(EXPIRING_DAYS, pool):  # type: ignore[arg-type]
        by_day.setdefault(row["day"].date(), []).append(row)
    return build_chart(
        [
            (
                f"{day:%d %b}",
                sum(row["count"] for row in rows),
                ", ".join(f"{format_amount_grouped(row['value'], row['currency'])} {row['currency']}" for row in rows),
            )
            for day, rows in sorted(by_day.items())
        ]
    )


def busiest_pool_rows(period: Period, pool: str | None) -> Chart:
    """Return the chart of the pools with the most claims."""
    rows = analytics.busiest_pools(period, pool)  # type: ignore[arg-type]
    return build_chart(
        [
            (
                row["name"] or _("No pool"),
                row["claims"],
                f"{format_amount_grouped(row['value'], row['currency'])} {row['currency']}",
            )
            for row in rows
        ]
    )


def refusal_rows(period: Period) -> Chart | None:
    """Return the chart of refusals by code, most frequent first; None when the counts are unavailable."""
    counts = refusal_counts.refusals_by_code(period.since, period.until)
    return None if counts is None else build_chart([(code, number, "") for code, number in counts.most_common(10)])


def reconciliation(supply: dict[tuple[Any, ...], States], logged: dict[Any, int], pools: dict[str, str]) -> dict[str, Any]:
    """Return the supply by pool and generation with each pool's total, next to the total of the database's issue log."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    lines: dict[Any, States] = {(*key, 1): {} for key in logged} | supply
    for (code, pool, generation), states in sorted(lines.items(), key=lambda line: line[0][2]):
        name = pools.get(str(pool), _("No pool"))
        group = groups.setdefault((name, code), {"pool": name, "id": pool, "currency": code, "lines": [], "issued": 0})
        issued = sum(count for count, _ in states.values())
        group["issued"] += issued
        counts = [states.get(state, NONE)[0] for state in STATES]
        value = format_amount_grouped(sum(value for _, value in states.values()), code)
        group["lines"].append({"generation": generation, "issued": issued, "counts": counts, "value": value})
        group["logged"] = logged.get((code, pool), 0)
        group["moved"] = group["issued"] - group["logged"]
    issued, logged_total = sum(group["issued"] for group in groups.values()), sum(logged.values())
    ordered = [groups[key] for key in sorted(groups)]
    return {
        "groups": ordered,
        "states": list(STATES.values()),
        "issued": issued,
        "logged": logged_total,
        "balanced": issued == logged_total,
    }
