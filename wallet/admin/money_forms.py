"""Forms that move a customer's money: asked for, shown before they are done, then done once."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from kernel.date_fields import SplitDateTimeField
from kernel.refusals import Refusal
from wallet.actions.approvals import AwaitsApproval
from wallet.admin.base import add_errors, require_operator, tell_that_it_waits
from wallet.admin.form_fields import AmountField
from wallet.assets.models import CreditPool
from wallet.ledger.idempotency import KEY_PATTERN

REASONS = {
    "returned": _("Order returned"),
    "cancelled": _("Order cancelled"),
    "goodwill": _("Goodwill"),
    "late_delivery": _("Late delivery"),
    "mistake": _("Mistake on our side"),
    "fraud": _("Fraud or abuse"),
}


class MoneyForm(forms.Form):
    """A reason, and a key by which the same form, sent twice, is done once."""

    reasons: ClassVar[Sequence[str]] = tuple(REASONS)

    key = forms.RegexField(rf"\A{KEY_PATTERN}\Z", widget=forms.HiddenInput)
    reason = forms.ChoiceField(label=_("Reason"), widget=UnfoldAdminSelectWidget, help_text=_("Recorded permanently."))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        reason: Any = self.fields["reason"]
        reason.choices = [("", _("Choose a reason")), *((code, REASONS[code]) for code in self.reasons)]
        self.order_fields(["key", *(name for name in self.fields if name not in ("key", "reason")), "reason"])

    def options(self) -> dict[str, Any]:
        """Return the fields as arguments of the action."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key" and value not in ("", None)}


class ReleaseForm(MoneyForm):
    """Releases what a payment holds."""

    reasons = ("cancelled", "mistake", "goodwill")


class RefundForm(MoneyForm):
    """Refunds a captured payment."""

    reasons = ("returned", "cancelled", "late_delivery", "goodwill", "mistake")
    amount = AmountField(label=_("Amount"), required=False, help_text=_("Leave blank to refund everything that is left."))
    reference = forms.CharField(
        label=_("Reference"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Your name for this refund, e.g. the ticket. The same reference is refunded once."),
    )


class ClawbackForm(MoneyForm):
    """Takes a claimed credit back."""

    reasons = ("fraud", "returned", "mistake")
    amount = AmountField(label=_("Amount"), required=False, help_text=_("Leave blank to take all of it back."))
    note = forms.CharField(
        label=_("Note"),
        max_length=500,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Only a fingerprint of this note is recorded. Keep the text in the ticket."),
    )


class ExtendForm(MoneyForm):
    """Moves the end of a claimed credit."""

    reasons = ("goodwill", "late_delivery", "mistake")
    until = SplitDateTimeField(
        label=_("New end (UTC)"),
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("The credit can be spent until then. It must be later than its end now."),
    )


class GrantForm(MoneyForm):
    """Gives a customer a credit of a pool."""

    reasons = ("goodwill", "late_delivery", "mistake")
    pool = forms.ModelChoiceField(
        CreditPool.objects.filter(is_active=True).order_by("name"),
        label=_("Pool"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("The customer gets the credit that expires soonest. The pool's dates and limit apply."),
    )
    reference = forms.CharField(
        label=_("Reference"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Your name for this grant, e.g. the ticket. The same reference is granted once."),
    )


@dataclass(frozen=True)
class Step:
    """One thing that an operator can do to a customer's money.

    Arguments:
        preview: returns sentences about what the form would do, and the values that are left blank, as shown, so that nothing
            else is done than what was shown; may raise the action's refusals.
        run: does it, by the operator, under the form's key.
        back: the URL to return to.
        facts: sentences above the form.
    """

    title: str | Promise
    button: str | Promise
    done: str | Promise
    form: type[MoneyForm]
    preview: Callable[[dict[str, Any]], tuple[list[Any], dict[str, str]]]
    run: Callable[[User, str, dict[str, Any]], Any]
    back: str
    facts: list[Any] = field(default_factory=list)


def money_page(request: HttpRequest, step: Step) -> HttpResponse:
    """Show a form, then what it would do, then do it; a refusal is shown in the form, and nothing was done."""
    actor = require_operator(request)
    form = step.form(request.POST or None, initial={"key": secrets.token_urlsafe(24)})
    preview = None
    if request.method == "POST" and form.is_valid() and request.POST.get("change") != "yes":
        try:
            if request.POST.get("confirmed") == "yes":
                step.run(actor, form.cleaned_data["key"], form.options())
                messages.success(request, str(step.done))
                return redirect(step.back)
            preview, shown = step.preview(form.options())
            form = step.form({**request.POST.dict(), **shown})
        except AwaitsApproval as waiting:
            return tell_that_it_waits(request, waiting)
        except ValidationError as error:
            add_errors(form, error)
        except Refusal as refusal:
            form.add_error(None, refusal.message)
    context = {**admin.site.each_context(request), "title": step.title, "step": step}
    context |= {"form": form, "preview": preview, "media": form.media}
    return TemplateResponse(request, "admin/money_form.html", context)
