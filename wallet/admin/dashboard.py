"""What an operator sees first: what happened in a period, what is owed and on offer now, and whether it ties out."""

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
SOON = 14  # days
IN_PERIOD = {
    "issued": gettext_lazy("issued"),
    "claimed": gettext_lazy("claimed"),
    "expired": gettext_lazy("expired"),
    "deleted": gettext_lazy("deleted"),
}
NOW = {
    "available": gettext_lazy("on offer"),
    "claimed": gettext_lazy("liability"),
    "expired": gettext_lazy("ended unused"),
}
STATES = {
    "available": gettext_lazy("available"),
    "claimed": gettext_lazy("claimed"),
    "expired": gettext_lazy("expired"),
    "deleted": gettext_lazy("deleted"),
}
NONE = (0, Decimal(0))


class PeriodForm(forms.Form):
    """Which period and pool the figures are about. Days, when given, go before the period."""

    period = forms.ChoiceField(choices=list(PERIODS.items()), required=False)
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    pool = forms.ChoiceField(required=False)

    def __init__(self, data: Any, pools: dict[str, str]) -> None:
        super().__init__({"period": "7d"} | data)
        self.fields["pool"].choices = [("", _("All pools")), *pools.items()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse days that are no period, or one longer than a year."""
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if until and until.year >= date.max.year:
            raise ValidationError({"until": _("Choose a day before the year 9999.")})
        if since and until and not since <= until < since + analytics.MAX_PERIOD:
            raise ValidationError({"until": _("Choose a day after the first one, at most a year later.")})
        return cleaned

    def chosen(self, now: datetime) -> Period:
        """Return the period; what is not valid or not given is the last 7 days."""
        given = self.cleaned_data if self.is_valid() else {}
        since, until = given.get("since"), given.get("until")
        if not since and not until:
            return Period(now - timedelta(hours=HOURS[given.get("period") or "7d"]), now)
        first: date = since or (until or now.date()) - timedelta(days=6)
        last: date = until or min(now.date(), first + analytics.MAX_PERIOD - timedelta(days=1))
        begin, end = (datetime.combine(day, time.min, UTC) for day in (first, max(first, last)))
        return Period(begin, end + timedelta(days=1))


def dashboard_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put the figures into the index's context; raise RateLimited or ReadsBusy."""
    with SEARCH.for_user(require_operator(request)):
        return all_figures(request, context)


def all_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put everything that the index shows into its context: a fixed number of grouped queries, however much there is."""
    pools = {str(pk): name for pk, name in CreditPool.objects.order_by("name").values_list("pk", "name")}
    choice = PeriodForm(request.GET.dict(), pools)
    period = choice.chosen(timezone.now())
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
        "soon": SOON,
        "tie": reconciliation(supply, analytics.issued_by_log(pool), pools),
        "all_pools": pool is None,
    }


def currency_panels(flows: dict[str, States], supply: dict[tuple[Any, ...], States]) -> list[dict[str, Any]]:
    """Return per currency what happened in the period, and how it stands now."""
    now: dict[str, dict[str, tuple[int, Decimal]]] = {}
    for (code, *_rest), states in supply.items():
        add_states(now.setdefault(code, {}), states)
    return [
        {
            "currency": code,
            "moved": [build_figure(str(title), flows.get(code, {}).get(name, NONE), code) for name, title in IN_PERIOD.items()],
            "now": [build_figure(str(title), now.get(code, {}).get(state, NONE), code) for state, title in NOW.items()],
        }
        for code in sorted({*flows, *now})
    ]


def add_states(total: dict[str, tuple[int, Decimal]], states: States) -> None:
    """Add the counts and values of one group to a total."""
    for name, (count, value) in states.items():
        before = total.get(name, NONE)
        total[name] = (before[0] + count, before[1] + value)


def build_figure(title: str, state: tuple[int, Any], currency: str) -> dict[str, Any]:
    """Return one figure: its name, value and count."""
    return {"title": title, "value": format_amount_grouped(state[1], currency), "count": state[0]}


def claims_chart(period: Period, pool: str | None) -> Chart:
    """Return the claims of each hour or day."""
    shape = "%d %b %H:00" if period.step == "hour" else "%d %b"
    return build_chart([(f"{at:{shape}}", count, "") for at, count in analytics.claims_by_step(period, pool)])  # type: ignore[arg-type]


def expiring_by_day(pool: str | None) -> Chart:
    """Return what can be claimed and ends within `SOON` days, by day."""
    today = timezone.now().astimezone(UTC).date()
    by_day: dict[date, list[dict[str, Any]]] = {today + timedelta(days=ahead): [] for ahead in range(SOON + 1)}
    for row in analytics.expiring_by_day(SOON, pool):  # type: ignore[arg-type]
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
    """Return the pools with the most claims."""
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
    """Return how often each refusal was told, most often first; None when the store of the counts is away."""
    told = refusal_counts.refusals_by_code(period.since, period.until)
    return None if told is None else build_chart([(code, number, "") for code, number in told.most_common(10)])


def reconciliation(supply: dict[tuple[Any, ...], States], logged: dict[Any, int], pools: dict[str, str]) -> dict[str, Any]:
    """Return the supply by pool and generation, each pool's sum, and PostgreSQL's own log of what was issued beside it."""
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
    issued, told = sum(group["issued"] for group in groups.values()), sum(logged.values())
    ordered = [groups[key] for key in sorted(groups)]
    return {"groups": ordered, "states": list(STATES.values()), "issued": issued, "logged": told, "tied": issued == told}
