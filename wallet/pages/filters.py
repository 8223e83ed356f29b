"""What a visitor may narrow a list by; a value that makes no sense is said beside its field and narrows nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from wallet.assets.models import CreditPool
from wallet.assets.querysets import AssetQuerySet
from wallet.ledger.querysets import EntryQuerySet
from wallet.money import MAX_VALUE

ENDS = [("", _("At any time")), ("2", _("Within 2 days")), ("7", _("Within a week")), ("30", _("Within a month"))]
SORTS = [("ends", _("Ending first")), ("high", _("Highest value")), ("low", _("Lowest value")), ("title", _("Title, A to Z"))]


def title_field() -> forms.CharField:
    """Return a field to look for a title."""
    return forms.CharField(
        label=_("Search by title"), required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"})
    )


def value_field(label: Any) -> forms.DecimalField:
    """Return a field for an amount of whatever currency."""
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return forms.DecimalField(label=label, required=False, min_value=0, max_value=MAX_VALUE, widget=widget)


def day_field(label: Any) -> forms.DateField:
    """Return a field for a day."""
    return forms.DateField(label=label, required=False, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))


class ListFilter(forms.Form):
    """A form in the address of a list."""

    def given(self) -> dict[str, Any]:
        """Return the fields that were filled in and make sense."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}


class OfferFilter(ListFilter):
    """Narrows and sorts what is on offer."""

    q = title_field()
    pool = forms.ChoiceField(label=_("Pool"), required=False)
    min = value_field(_("Value from"))
    max = value_field(_("Value to"))
    ends = forms.ChoiceField(label=_("Ends"), required=False, choices=ENDS)
    sort = forms.ChoiceField(label=_("Sort by"), required=False, choices=SORTS)

    def __init__(self, data: Any, pools: Iterable[CreditPool]) -> None:
        super().__init__(data, auto_id="%s")
        choices = [("", _("All pools")), *((str(pool.pk), pool.name) for pool in pools)]
        self.fields["pool"].choices = choices  # type: ignore[attr-defined]

    def apply(self, credits: AssetQuerySet) -> AssetQuerySet:
        """Return those of `credits` that are wanted."""
        given = self.given()
        # Its titles are looked up first: an index then finds their credits.
        if "q" in given and (titles := credits.titles_with(given["q"])) is not None:
            del given["q"]
            credits = credits.filter(title__in=titles)
        columns = {"q": "title__icontains", "pool": "pool", "min": "total_value__gte", "max": "total_value__lte"}
        wanted = Q(**{column: given[name] for name, column in columns.items() if name in given})
        if days := given.get("ends"):
            wanted &= Q(expires_at__lte=Now() + timedelta(days=int(days)))
        return credits.filter(wanted)

    def order(self) -> str:
        """Return the order that was asked for, by its name."""
        return str(self.given().get("sort", "ends"))

    def narrows(self) -> bool:
        """Tell whether anything but the order was asked for."""
        return bool(self.given().keys() - {"sort"})


class HistoryFilter(ListFilter):
    """Narrows what was claimed."""

    q = title_field()
    since = day_field(_("From"))
    until = day_field(_("To"))

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="%s")

    def apply(self, entries: EntryQuerySet) -> EntryQuerySet:
        """Return those of `entries` that are wanted; both days are in UTC and included."""
        given, wanted = self.given(), Q()
        if title := given.get("q"):
            wanted &= Q(asset__title__icontains=title)
        if day := given.get("since"):
            wanted &= Q(claimed_at__gte=datetime.combine(day, time.min, UTC))
        if day := given.get("until"):
            wanted &= Q(claimed_at__lte=datetime.combine(day, time.max, UTC))
        return entries.filter(wanted)

    def narrows(self) -> bool:
        """Tell whether anything was asked for."""
        return bool(self.given())
