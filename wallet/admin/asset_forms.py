"""Forms of the credits: issue and change one, and extend the expiry of several."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSingleDateWidget, UnfoldAdminSplitDateTimeWidget, UnfoldBooleanWidget

from kernel.date_fields import DateField, SplitDateTimeField
from kernel.refusals import Refusal
from kernel.timestamps import format_second
from wallet.actions.edit_asset import AssetNotAvailable
from wallet.actions.recreate_asset import SAME_LIFETIME
from wallet.admin.base import ActionForm
from wallet.admin.form_fields import AmountField, CurrencyField
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.money import format_amount
from wallet.queries import change_history


class AssetForm(ActionForm):
    """Issues or changes a credit."""

    total_value = AmountField(label=_("Value"), help_text=_("e.g. 250.00, with at most the decimals of its currency."))
    currency = CurrencyField(
        label=_("Currency"),
        required=False,
        help_text=_("Three-letter code, e.g. INR. Leave blank to use the pool's."),
    )
    last_day = DateField(
        label=_("Or a date"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Last day it can be claimed, in the pool's time zone."),
    )

    class Meta:
        model = CashbackAsset
        fields = ("title", "total_value", "currency", "pool", "expires_at", "last_day")
        labels: ClassVar = {"title": _("Title"), "pool": _("Pool"), "expires_at": _("Expires (UTC)")}
        help_texts: ClassVar = {
            "title": _("Shown to users, e.g. Welcome bonus."),
            "pool": _("The pool's dates and per-user limit apply. Leave blank for no pool."),
            "expires_at": _("Expiry time (exclusive). Leave blank for no expiry."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "pool" in self.fields:  # absent on a read-only page
            self.fields["pool"].queryset = CreditPool.objects.offered_for(self.instance)  # type: ignore[attr-defined]
        if self.instance.total_value is not None:
            value, currency = self.instance.total_value, self.instance.currency
            self.initial["total_value"] = format_amount(value, currency)

    def show_value(self, name: str, text: str | None) -> str:
        """Return a column's value for people; an amount with the decimals of its currency."""
        if name == "total_value" and text:
            return format_amount(Decimal(text), self.stored["currency"] or "")
        return super().show_value(name, text)

    def refusal_sentence(self, refusal: Refusal | ValidationError) -> str:
        """Return the message above the form, with who claimed or expired the credit."""
        sentence = super().refusal_sentence(refusal)
        return f"{what_happened(self.instance)} {sentence}" if isinstance(refusal, AssetNotAvailable) else sentence

    def clean(self) -> dict[str, Any]:
        """Fill in the pool's currency, and refuse an expiry together with a last day."""
        cleaned = super().clean()
        if not cleaned.get("currency"):
            cleaned["currency"] = cleaned["pool"].currency if cleaned.get("pool") else self.instance.currency
        if "last_day" in self.changed_data and "expires_at" in self.changed_data:
            raise ValidationError({"last_day": _("Enter a time or a date, not both.")}, code="invalid")
        return cleaned

    def changed_values(self) -> dict[str, Any]:
        """Return the changed fields as arguments of the actions."""
        values = {name: self.cleaned_data[name] for name in self.changed_data}
        if "last_day" in values:
            values["expires_at"] = values.pop("last_day")
        return values


def what_happened(asset: Any) -> str:
    """Return a sentence on why the credit can no longer be changed: who claimed or expired it, and when."""
    if asset.claimed_by:
        claimed = {"who": asset.claimed_by, "at": f"{format_second(asset.claimed_at)} UTC"}
        return translate("Nothing was saved: %(who)s claimed this credit on %(at)s.") % claimed
    if (change := change_history.last_change(asset, "status")) and change.who:
        expired = {"who": change.who, "at": f"{format_second(change.at)} UTC"}
        return translate("Nothing was saved: %(who)s expired this credit on %(at)s.") % expired
    if asset.expires_at:
        return translate("Nothing was saved: this credit expired on %(at)s.") % {"at": f"{format_second(asset.expires_at)} UTC"}
    return translate("Nothing was saved.")


PREVIEW_TTL = timedelta(minutes=30)


class RecreateForm(forms.Form):
    """Asks for the common end of the recreated credits; blank: each offer keeps its duration."""

    last_day = DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Last day they can be claimed, in each pool's time zone. Leave blank to keep the original's duration."),
    )
    expires_at = SplitDateTimeField(
        label=_("Or an exact time (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Expiry time (exclusive)."),
    )
    # When the preview was made: durations count from it, so that what is confirmed is what was shown.
    previewed_at = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_previewed_at(self) -> datetime:
        """Return the time of the preview, or now for a new or an old one."""
        now = timezone.now()
        sent = parse_datetime(self.cleaned_data["previewed_at"])
        return sent if sent and sent.tzinfo and now - PREVIEW_TTL < sent <= now else now

    def clean(self) -> dict[str, Any]:
        """Refuse a day together with a time."""
        cleaned = super().clean() or {}
        if cleaned.get("last_day") and cleaned.get("expires_at"):
            raise ValidationError({"last_day": _("Enter a time or a date, not both.")}, code="invalid")
        return cleaned

    def changed_values(self) -> dict[str, Any]:
        """Return the chosen end, SAME_LIFETIME when none was chosen, and the time of the preview."""
        values = self.cleaned_data
        return {"end": values["expires_at"] or values["last_day"] or SAME_LIFETIME, "now": values["previewed_at"]}


class ExtendForm(forms.Form):
    """Asks for the new expiry of credits: a date, a time, or never."""

    last_day = DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Last day they can be claimed, in each pool's time zone."),
    )
    expires_at = SplitDateTimeField(
        label=_("Or an exact time (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Expiry time (exclusive)."),
    )
    never = forms.BooleanField(label=_("Or no expiry"), required=False, widget=UnfoldBooleanWidget)

    def clean(self) -> dict[str, Any]:
        """Require exactly one of the fields."""
        cleaned = super().clean() or {}
        if not self.errors and sum(1 for value in cleaned.values() if value) != 1:
            raise ValidationError(_("Enter a date, or a time, or choose no expiry."), code="one")
        return cleaned

    def changed_values(self) -> dict[str, Any]:
        """Return the arguments of the action."""
        values = self.cleaned_data
        return {"until": None if values["never"] else values["expires_at"] or values["last_day"]}
