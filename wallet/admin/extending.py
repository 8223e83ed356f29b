"""Until when the chosen credits shall live."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSingleDateWidget, UnfoldAdminSplitDateTimeWidget, UnfoldBooleanWidget


class ExtendForm(forms.Form):
    """Until when credits shall live: a day, an instant, or for ever."""

    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("The last day they can be claimed, where each credit's pool is."),
    )
    expires_at = forms.SplitDateTimeField(
        label=_("Or an exact instant (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("The first instant they can no longer be claimed."),
    )
    never = forms.BooleanField(label=_("Or let them never expire"), required=False, widget=UnfoldBooleanWidget)

    def clean(self) -> dict[str, Any]:
        """Take exactly one answer."""
        cleaned = super().clean() or {}
        if not self.errors and sum(1 for answer in cleaned.values() if answer) != 1:
            raise ValidationError(_("Give a day, or an instant, or tick never: one of the three."), code="one")
        return cleaned

    def asked(self) -> dict[str, Any]:
        """Return what the act is asked for."""
        given = self.cleaned_data
        return {"until": None if given["never"] else given["expires_at"] or given["last_day"]}
