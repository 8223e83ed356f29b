"""How an operator types an amount and its currency."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from wallet.actions import csv_rows


class CurrencyField(forms.CharField):
    """A currency's code, typed in any case."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=3, widget=UnfoldAdminTextInputWidget, **options)

    def to_python(self, value: Any) -> Any:
        """Return the code in capitals."""
        return (super().to_python(value) or "").upper()


class AmountField(forms.DecimalField):
    """An exact amount, written as in a file: Django's own field would also take 1e3, 1_000 and other scripts' digits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=18, decimal_places=4, widget=UnfoldAdminDecimalFieldWidget, **options)

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None when nothing was typed. Raises ValidationError."""
        typed = str(value).strip() if value is not None else ""
        try:
            return csv_rows.parse_cell_amount(typed) if typed else None
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error
