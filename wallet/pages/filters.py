"""Filter forms of the lists. An invalid value gets an error beside its field, and the list is empty (400)."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from kernel.date_fields import DateField
from kernel.readable_text import normal_text
from kernel.validation import is_reversed
from wallet.actions import csv_rows
from wallet.assets.models import CreditPool
from wallet.assets.querysets import AssetQuerySet
from wallet.money import MAX_VALUE
from wallet.pages.pagination import Rows
from wallet.queries.supply import CURRENCY_REQUIRED
from wallet.queries.wallet_history import CLAIM_KINDS, WalletHistory

EXPIRIES = [("", _("Any time")), ("2", _("Within 2 days")), ("7", _("Within a week")), ("30", _("Within a month"))]
SORTS = [
    ("ends", _("Expiring soonest")),
    ("high", _("Highest value")),
    ("low", _("Lowest value")),
    ("title", _("Title, A to Z")),
]
HISTORY_PARTS = [
    ("", _("Everything")),
    ("claims", _("Claims")),
    ("payments", _("Payments")),
    ("refunds", _("Refunds")),
    ("changes", _("Changes to credits")),
]
KINDS_OF_PART = {
    "claims": CLAIM_KINDS,
    "payments": ("HOLD", "CAPTURE", "SPEND", "RELEASE"),
    "refunds": ("REFUND",),
    "changes": ("LAPSE", "CLAWBACK", "EXTEND"),
}


class TextField(forms.CharField):
    """Text to search for, in the normal form of titles. Any text is valid: what no title can have finds nothing."""

    def to_python(self, value: Any) -> Any:
        """Return the text; PostgreSQL has no NUL."""
        return normal_text(super().to_python(value) or "").replace("\x00", "\N{REPLACEMENT CHARACTER}")

    def run_validators(self, value: Any) -> None:
        """Accept any text."""


def title_field() -> forms.CharField:
    """Return a search field for titles."""
    return TextField(
        label=_("Search by title"), required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"})
    )


class AmountField(forms.DecimalField):
    """An amount in plain digits. Django's field would also accept 1e3, 1_000 and digits of other scripts."""

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None for an empty field. Raises ValidationError."""
        try:
            return csv_rows.parse_cell_amount(text) if (text := str(value or "").strip()) else None
        except ValueError as error:
            message = _("Enter a plain amount such as 1250.50, without symbols or separators.")
            raise forms.ValidationError(message, code="invalid") from error


def value_field(label: Any) -> forms.DecimalField:
    """Return a field for an amount in any currency."""
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return AmountField(label=label, required=False, min_value=0, max_value=MAX_VALUE, widget=widget)


def day_field(label: Any) -> forms.DateField:
    """Return a date field."""
    return DateField(label=label, required=False, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))


class ListFilter(forms.Form):
    """A filter form whose values are in the query string."""

    def filled_fields(self) -> dict[str, Any]:
        """Return the values of the fields that are filled in and valid."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    def is_filtered(self) -> bool:
        """Return whether any field but the order is filled in, or has an error."""
        return bool(self.errors or self.filled_fields().keys() - {"sort"})

    @property
    def status(self) -> int:
        """The HTTP status of the page: 400 when a value is invalid."""
        return 200 if self.is_valid() else 400


class OfferFilter(ListFilter):
    """Filters and sorts the offers. With several currencies on offer, a range of values needs one of them."""

    q = title_field()
    sort = forms.ChoiceField(label=_("Sort by"), required=False, choices=SORTS)
    currency = forms.ChoiceField(label=_("Currency"), required=False)
    pool = forms.ChoiceField(label=_("Pool"), required=False)
    min = value_field(_("Min. value"))
    max = value_field(_("Max. value"))
    ends = forms.ChoiceField(label=_("Expires"), required=False, choices=EXPIRIES)

    def __init__(self, data: Any, pools: Iterable[CreditPool], currencies: list[str]) -> None:
        super().__init__(data, auto_id="%s")
        self.currencies = currencies
        choices: Any = self.fields
        choices["pool"].choices = [("", _("All pools")), *((str(pool.pk), pool.name) for pool in pools)]
        choices["currency"].choices = [("", _("All currencies")), *((code, code) for code in currencies)]

    def clean(self) -> dict[str, Any]:
        """Refuse a reversed range of values, and one without its currency or pool when there are several currencies."""
        values: dict[str, Any] = super().clean() or {}
        if is_reversed(values.get("min"), values.get("max")):
            self.add_error("max", _("This is less than the minimum value."))
        has_range = any(values.get(name) is not None for name in ("min", "max"))
        if has_range and len(self.currencies) > 1 and not (values.get("currency") or values.get("pool") or self.errors):
            self.add_error("currency", CURRENCY_REQUIRED)
        return values

    def apply(self, credits: AssetQuerySet) -> AssetQuerySet:
        """Return the credits that match the filter; none when it is invalid."""
        if not self.is_valid():
            return credits.none()
        fields = self.filled_fields()
        # Look up the matching titles first: an index then finds their credits.
        if "q" in fields and (titles := credits.titles_with(fields["q"])) is not None:
            credits = credits.filter(title__in=titles)
            del fields["q"]
        columns = {
            "q": "title__icontains",
            "pool": "pool",
            "currency": "currency",
            "min": "total_value__gte",
            "max": "total_value__lte",
        }
        condition = Q(**{column: fields[name] for name, column in columns.items() if name in fields})
        if days := fields.get("ends"):
            condition &= Q(expires_at__lte=Now() + timedelta(days=int(days)))
        return credits.filter(condition)

    def order(self) -> str:
        """Return the name of the requested order."""
        return str(self.filled_fields().get("sort", "ends"))

    def is_detailed(self) -> bool:
        """Return whether a field of the details is filled in or wrong."""
        return bool((self.filled_fields().keys() | self.errors.keys()) & {"pool", "min", "max", "ends"})


class HistoryFilter(ListFilter):
    """Filters the history of the wallet."""

    q = TextField(label=_("Search"), required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"}))
    show = forms.ChoiceField(label=_("Show"), required=False, choices=HISTORY_PARTS)
    since = day_field(_("From"))
    until = day_field(_("To"))

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="%s")

    def clean(self) -> dict[str, Any]:
        """Refuse a last day before the first one."""
        values: dict[str, Any] = super().clean() or {}
        if is_reversed(values.get("since"), values.get("until")):
            self.add_error("until", _("This is before the first day."))
        return values

    def history_of(self, user: User) -> Rows[Any]:
        """Return the part of the user's history that fits, nothing when the filter is invalid.

        Both days are of the current zone, inclusive.
        """
        if not self.is_valid():
            return []
        fields, zone = self.filled_fields(), timezone.get_current_timezone()
        since, until = fields.get("since"), fields.get("until")
        return WalletHistory(
            user.pk,
            kinds=KINDS_OF_PART.get(fields.get("show", ""), ()),
            since=datetime.combine(since, time.min, zone) if since else None,
            until=datetime.combine(until + timedelta(days=1), time.min, zone) if until and until < date.max else None,
            text=fields.get("q", ""),
        )
