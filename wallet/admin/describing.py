"""What an operator says of a credit."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSingleDateWidget

from wallet.admin.amounts import AmountField, CurrencyField
from wallet.admin.base import ActionForm
from wallet.assets.models import CashbackAsset
from wallet.money import format_amount


class AssetForm(ActionForm):
    """What an operator says of a credit."""

    total_value = AmountField(
        label=_("Value"), help_text=_("A plain amount, e.g. 250.00, with no more decimals than its currency has.")
    )
    currency = CurrencyField(
        label=_("Currency"),
        required=False,
        help_text=_("ISO 4217, e.g. INR. Empty: the pool's."),
    )
    last_day = forms.DateField(
        label=_("Or the last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Instead of an instant: the last day it can be claimed, where the pool is."),
    )

    class Meta:
        model = CashbackAsset
        fields = ("title", "total_value", "currency", "pool", "expires_at", "last_day")
        labels: ClassVar = {"title": _("Title"), "pool": _("Pool"), "expires_at": _("Expires (UTC)")}
        help_texts: ClassVar = {
            "title": _("What the user reads, e.g. Welcome bonus."),
            "pool": _("Its window and its limit per user then hold. Empty: whoever is first may claim it, at any time."),
            "expires_at": _("The first instant it can no longer be claimed. Empty: never."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.total_value is not None:  # type: ignore[attr-defined]
            value, currency = self.instance.total_value, self.instance.currency  # type: ignore[attr-defined]
            self.initial["total_value"] = format_amount(value, currency)

    def clean(self) -> dict[str, Any]:
        """Fill in the pool's currency; take one end, not two."""
        cleaned = super().clean()
        if not cleaned.get("currency"):
            cleaned["currency"] = cleaned["pool"].currency if cleaned.get("pool") else self.instance.currency  # type: ignore[attr-defined]
        if "last_day" in self.changed_data and "expires_at" in self.changed_data:
            raise ValidationError({"last_day": _("Give the instant or the day, not both.")}, code="invalid")
        return cleaned

    def asked(self) -> dict[str, Any]:
        """Return what the acts are asked for: the fields that were changed."""
        asked = {name: self.cleaned_data[name] for name in self.changed_data}
        if "last_day" in asked:
            asked["expires_at"] = asked.pop("last_day")
        return asked
