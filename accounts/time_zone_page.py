"""The page on which users choose their time zone."""

from itertools import groupby
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import FormView

from accounts import time_zones
from accounts.models import User
from kernel.time_zones import time_zones as all_time_zones

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def zone_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the zones of all places, grouped by region, and UTC."""
    names = sorted(name for name in all_time_zones() if name.partition("/")[0] in REGIONS and "/" in name)
    by_region = groupby(names, key=lambda name: name.partition("/")[0])
    return [("UTC", [("UTC", "UTC")]), *((region, [(name, label(name)) for name in zones]) for region, zones in by_region)]


def label(name: str) -> str:
    """Return the place of a zone: "Kolkata" for Asia/Kolkata."""
    return name.partition("/")[2].replace("_", " ")


class TimeZoneForm(forms.Form):
    """Asks for a time zone."""

    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=lazy(zone_choices, list),
        help_text=gettext_lazy("Dates and times on every page are shown in this time zone."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["time_zone"]
        current = self.initial.get("time_zone", "")
        # A browser may know its zone by an older name that is not in the list.
        if current and not field.valid_value(current):
            field.choices = [(current, [(current, current)]), *field.choices]


class ChangeTimeZone(LoginRequiredMixin, FormView[TimeZoneForm]):
    """Change the time zone in which the pages show dates and times."""

    form_class = TimeZoneForm
    template_name = "accounts/time_zone.html"
    success_url = reverse_lazy("account")

    def get_initial(self) -> dict[str, Any]:
        """Return the current zone."""
        user = cast(User, self.request.user)
        return {"time_zone": time_zones.preferred_time_zone(self.request, user) or "UTC"}

    def form_valid(self, form: TimeZoneForm) -> HttpResponse:
        """Store the zone."""
        time_zones.change_time_zone(cast(User, self.request.user), form.cleaned_data["time_zone"])
        messages.success(self.request, _("Time zone updated."))
        return super().form_valid(form)
