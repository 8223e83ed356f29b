"""The time of a report, as an operator types it: in UTC, and in the past."""

import re
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from wallet.queries.as_of import AsOf, settled

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?Z?)?", re.ASCII)


class AsOfField(forms.Field):
    """A time in UTC; a date means its midnight."""

    def to_python(self, value: Any) -> Any:
        """Return the time, None when it is blank. Raises ValidationError."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            if not TIME.fullmatch(text):
                raise ValueError(text)
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError as error:
            message = _("Enter a date or a time in UTC, for example 2027-03-31 or 2027-03-31 18:30:00.")
            raise ValidationError(message, code="invalid") from error


class AsOfForm(forms.Form):
    """Asks for the time of a report."""

    as_of = AsOfField(required=False, widget=forms.TextInput(attrs={"placeholder": "2027-03-31 18:30:00", "size": 30}))


def as_of_form(request: HttpRequest) -> tuple[AsOfForm, AsOf | None]:
    """Return the form of a request, and its time when it is valid. Raises ReadsBusy."""
    form = AsOfForm(request.GET)
    if not form.is_valid():
        return form, None
    try:
        return form, settled(form.cleaned_data["as_of"])
    except ValidationError as error:
        form.add_error("as_of", error.messages[0])
        return form, None
