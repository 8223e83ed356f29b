"""Form fields for amounts and currencies."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from kernel.whole_numbers import parse_whole_number
from wallet.actions import csv_rows


class CurrencyField(forms.CharField):
    """A currency code, accepted in any case."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=3, widget=UnfoldAdminTextInputWidget, **options)

    def to_python(self, value: Any) -> Any:
        """Return the code in upper case."""
        return (super().to_python(value) or "").upper()


class WholeNumberField(forms.IntegerField):
    """A whole number of plain digits. Django's field would also accept 2.0, 1_0 and digits of other scripts."""

    widget = UnfoldAdminIntegerFieldWidget

    def to_python(self, value: Any) -> int | None:
        """Return the number, or None for an empty field. Raises ValidationError."""
        try:
            return None if value in self.empty_values else parse_whole_number(str(value))
        except ValueError as error:
            raise ValidationError(_("Enter a whole number in digits 0-9, e.g. 25."), code="invalid") from error


class AmountField(forms.DecimalField):
    """An exact amount in the notation of CSV files. Django's field would also accept 1e3, 1_000 and digits of other scripts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=18, decimal_places=4, widget=UnfoldAdminDecimalFieldWidget, **options)

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None for an empty field. Raises ValidationError."""
        text = str(value).strip() if value is not None else ""
        try:
            return csv_rows.parse_cell_amount(text) if text else None
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error
