"""Filters of the console's lists."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin.filters import ChoicesFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, TextFilter
from unfold.contrib.filters.forms import RangeDateForm

from kernel.date_fields import DateField
from kernel.validation import is_reversed
from wallet.assets.batches import Batch
from wallet.assets.models import AssetStatus, CreditPool, Issuance
from wallet.ledger.models import Seal
from wallet.money import CURRENCIES

SEQ = re.compile(r"[0-9]{1,18}")


def refuse_filter(request: HttpRequest, queryset: QuerySet[Any], title: Any, *mistakes: str) -> QuerySet[Any]:
    """Return no rows, and note the filter whose value cannot be read: its list and its export then answer 400."""
    refused: dict[str, Sequence[str]] = getattr(request, "refused_filters", {})
    request.refused_filters = refused | {str(title): mistakes}  # type: ignore[attr-defined]
    return queryset.none()


class TitledMixin:
    """Labels the filter's field with its title; the theme would write "By" before it."""

    title: Any

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Yield the form with its label."""
        for choice in super().choices(changelist):  # type: ignore[misc]
            for field in choice["form"].fields.values():
                field.label = capfirst(self.title)
            yield choice


class ChoiceFilter(TitledMixin, DropdownFilter):  # type: ignore[misc]
    """One of a fixed set of choices; any other value in the URL is refused."""

    field: str

    def has_output(self) -> bool:
        """Return whether there is a choice, or a value to refuse: without an output Django drops the filter and its value."""
        return bool(super().has_output() or self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows that have the chosen value."""
        if not (chosen := self.value()):
            return queryset
        if chosen not in {str(value) for value, _ in self.lookup_choices}:
            return refuse_filter(request, queryset, self.title)
        return queryset.filter(**{self.field: chosen})


class KnownChoiceFilter(ChoicesFieldListFilter):
    """The choices of a column, as links; any other value in the URL is refused."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep the rows that have the chosen value."""
        known = {str(value) for value, _ in self.field.flatchoices}
        if not {str(value) for value in self.lookup_val or ()} <= known:
            return refuse_filter(request, queryset, self.title)
        return super().queryset(request, queryset)


class StatusFilter(ChoiceFilter):
    """The current status: a credit that is due counts as EXPIRED before any sweep."""

    title = _("status")
    parameter_name = "status"
    field = "current_status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the three statuses."""
        return AssetStatus.choices


class CurrencyFilter(ChoiceFilter):
    """The currency. Offers every code, because finding those in use would scan the whole table."""

    title = _("currency")
    parameter_name = "currency"
    field = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return all the codes."""
        return [(code, code) for code in CURRENCIES]


class PoolFilter(ChoiceFilter):
    """The pool of an asset."""

    title = _("pool")
    parameter_name = "pool"
    field = "pool"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the pools by name, in one query."""
        return [(str(pk), name) for pk, name in CreditPool.objects.order_by("name").values_list("pk", "name")]


class ArchivedFilter(TitledMixin, DropdownFilter):  # type: ignore[misc]
    """Leaves archived pools out, unless they are asked for."""

    title = _("archived")
    parameter_name = "archived"
    all_option = ("", _("Not archived"))

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the other choices."""
        return [("yes", _("Archived")), ("all", _("All pools"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the pools of the choice."""
        if self.value() not in (None, "", "yes", "all"):
            return refuse_filter(request, queryset, self.title)
        if self.value() == "yes":
            return queryset.exclude(archived_at=None)
        return queryset if self.value() == "all" else queryset.filter(archived_at=None)


class EntryPoolFilter(PoolFilter):
    """The pool of an entry's asset."""

    field = "asset__pool"


class BatchPoolFilter(PoolFilter):
    """The pool that credits of a batch were issued in."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the batches with credits that were issued in the chosen pool."""
        if (pool := self.value()) not in {str(value) for value, _ in self.lookup_choices}:
            return refuse_filter(request, queryset, self.title) if pool else queryset
        return queryset.filter(pk__in=Issuance.objects.filter(pool=pool).values("batch"))


DAY_TITLES = {
    "expires_at": _("expiry date"),
    "created_at": _("issue date"),
    "issued_at": _("issue date"),
    "claimed_at": _("claim date"),
    "pgh_created_at": _("date of the change"),
    "sealed_at": _("date of the seal"),
}


class DayRangeForm(RangeDateForm):  # type: ignore[misc]
    """The two days of a range."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        for field in (f"{name}_from", f"{name}_to"):
            self.fields[field] = DateField(label="", required=False, widget=self.fields[field].widget)

    def clean(self) -> dict[str, Any]:
        """Refuse a last day before the first one."""
        values: dict[str, Any] = super().clean() or {}
        if is_reversed(*(values.get(f"{self.name}_{end}") for end in ("from", "to"))):
            self.add_error(f"{self.name}_to", _("The last day is before the first one."))
        return values


class DayFilter(RangeDateFilter):  # type: ignore[misc]
    """From a day to a day in UTC, both included. With a day that cannot be read the list is empty."""

    form_class = DayRangeForm

    def form(self) -> DayRangeForm:
        """Return the form with the days of the URL."""
        return self.form_class(self.parameter_name, self.used_parameters)

    def mistakes(self) -> list[str]:
        """Return what is wrong with the days."""
        return sorted({str(text) for texts in self.form().errors.values() for text in texts})

    title: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = DAY_TITLES.get(self.field_path, self.title)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep times from the start of the first day to the end of the last one."""
        form = self.form()
        if not form.is_valid():
            return refuse_filter(request, queryset, self.title, *self.mistakes())
        since, until = (form.cleaned_data[f"{self.parameter_name}_{end}"] for end in ("from", "to"))
        if since:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": datetime.combine(since, time.min, UTC)})
        if until and until.year < datetime.max.year:
            end = datetime.combine(until, time.min, UTC) + timedelta(days=1)
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": end})
        return queryset


class ActionFilter(ChoiceFilter):
    """The action that changed a credit."""

    title = _("action")
    parameter_name = "action"
    field = "pgh_context__metadata__action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the actions that are recorded in the change history."""
        return [("update", _("Update")), ("expire", _("Expire")), ("expire due", _("Expire due")), ("delete", _("Delete"))]


# The channel "pages" is missing: users change nothing that the change history records.
CHANNELS = {"admin": _("Console"), "api": _("API"), "shell": _("Command line"), "scheduler": _("Scheduler"), "sql": _("SQL")}


def channel_label(channel: str | None) -> str | None:
    """Return the name of a channel for operators; a channel of another release as it is."""
    return None if channel is None else str(CHANNELS.get(channel, channel))


class ChannelFilter(ChoiceFilter):
    """The channel of a change."""

    title = _("source")
    parameter_name = "channel"
    field = "pgh_context__metadata__channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the channels."""
        return list(CHANNELS.items())


class IssueChannelFilter(ChannelFilter):
    """The channel that credits were issued through."""

    field = "channel"


class BatchFilter(TitledMixin, TextFilter):  # type: ignore[misc]
    """The credits of a batch, by its id."""

    title = _("batch")
    parameter_name = "batch"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the credits of the batch; none of an unknown one."""
        if not (text := (self.value() or "").strip()):
            return queryset
        try:
            return queryset.in_batch(Batch(UUID(text)))  # type: ignore[attr-defined, no-any-return]
        except ValueError:
            return refuse_filter(request, queryset, self.title)


class SealFilter(TitledMixin, TextFilter):  # type: ignore[misc]
    """The entries under one seal, by its number."""

    title = _("seal")
    parameter_name = "seal"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries that the seal covers; none for a number without a seal."""
        if not (number := self.value() or ""):
            return queryset
        if not SEQ.fullmatch(number):
            return refuse_filter(request, queryset, self.title)
        seal = Seal.objects.only("from_xid", "to_xid").filter(pk=int(number)).first()
        return queryset.filter(xid__gte=seal.from_xid, xid__lt=seal.to_xid) if seal else queryset.none()
