"""Form fields for dates and times, which accept ISO 8601 alone: 03/04/2027 is March to some and April to others."""

import re
from datetime import date, time
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")
INVALID_DATE = _("Enter the date as year-month-day, for example 2027-03-31.")
INVALID_TIME = _("Enter the time as hours:minutes, for example 18:30.")


class DateField(forms.DateField):
    """A date: year-month-day, in the digits 0-9."""

    default_error_messages = {"invalid": INVALID_DATE}

    def strptime(self, value: str, format: str) -> date:
        """Return the date; raise ValueError."""
        if not DATE.fullmatch(value):
            raise ValueError(value)
        return date.fromisoformat(value)


class TimeField(forms.TimeField):
    """A time of day, to the minute or finer, in the digits 0-9."""

    default_error_messages = {"invalid": INVALID_TIME}

    def strptime(self, value: str, format: str) -> time:
        """Return the time; raise ValueError."""
        if not TIME.fullmatch(value):
            raise ValueError(value)
        return time.fromisoformat(value)


class SplitDateTimeField(forms.SplitDateTimeField):
    """A date and a time of day, each in an input of its own."""

    default_error_messages = {"invalid_date": INVALID_DATE, "invalid_time": INVALID_TIME}

    def __init__(self, **options: Any) -> None:
        # Not Django's own constructor, which makes Django's fields.
        super(forms.SplitDateTimeField, self).__init__((DateField(), TimeField()), **options)
