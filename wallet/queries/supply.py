"""Supply: how many credits, of what value, are in which state, from the counters that triggers keep (assets.SupplyDelta)."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Count, Q, Sum, TextField, Value
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from wallet.assets.models import AssetStatus, CashbackAsset, SupplyDelta
from wallet.money import format_amount

CURRENCY_REQUIRED = _("Choose a currency: values of different currencies cannot be compared.")
# Count and value of a group of credits by the name of the state.
States = dict[str, tuple[int, Any]]


def currencies_in_use() -> list[str]:
    """Return the currencies that credits were ever issued in, from the counters."""
    return sorted(SupplyDelta.objects.order_by().values_list("currency", flat=True).distinct())


def require_comparable_values() -> None:
    """Raise ValidationError for `currency` if there are credits of several, so that their values are no numbers to compare.

    Call it before filtering or sorting by value, unless the rows are those of one currency or one pool.
    """
    if len(currencies_in_use()) > 1:
        raise ValidationError({"currency": ValidationError(CURRENCY_REQUIRED, code="currency")})


def supply_by(wanted: Q, *names: str) -> dict[tuple[Any, ...], States]:
    """Return (count, value) of each current state, deleted included, grouped by the columns `names`.

    Everything comes from the counters (assets.SupplyDelta), except expired credits that no sweep has marked yet: these few are
    counted. A single statement reads both, so that they agree.

    Arguments:
        wanted: a condition on pool and currency.
    """
    counters: Any = SupplyDelta.objects.filter(wanted).order_by().values(*names, state=Lower("status"))
    due: Any = CashbackAsset.objects.due().filter(wanted).order_by().values(*names, state=Value("due", TextField()))
    counted_due = due.annotate(n=Count("pk"), v=Sum("total_value"))
    rows = counters.annotate(n=Sum("count"), v=Sum("value")).union(counted_due, all=True)
    lines: dict[tuple[Any, ...], dict[str, tuple[int, Any]]] = defaultdict(lambda: defaultdict(lambda: (0, Decimal(0))))
    for row in rows:
        states, number, value = lines[tuple(row[name] for name in names)], row["n"], row["v"]
        moved = [("available", -1), ("expired", 1)] if row["state"] == "due" else [(row["state"], 1)]
        for state, sign in moved:
            states[state] = (states[state][0] + sign * number, states[state][1] + sign * value)
    nonzero = {key: {name: state for name, state in states.items() if any(state)} for key, states in lines.items()}
    return {key: states for key, states in nonzero.items() if states}


def supply_totals(wanted: Q) -> list[dict[str, Any]]:
    """Return what ownership_totals returns for the credits of pools and currencies, from the counters."""
    lines = supply_by(wanted, "currency")
    return [
        {
            "currency": code,
            "current_status": status,
            "count": states[status.lower()][0],
            "value": format_amount(states[status.lower()][1], code),
        }
        for (code,), states in sorted(lines.items())
        for status in sorted(AssetStatus.values)
        if status.lower() in states
    ]
