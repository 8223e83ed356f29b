"""Pages of two-step verification, for operators: set-up, recovery codes, removal."""

from base64 import b32encode
from typing import Any, cast

import segno
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from accounts import throttles, two_factor
from accounts.forms import CodeConfirmedForm, CodeForm, ConfirmedForm
from accounts.models import User
from accounts.two_factor_devices import Authenticator
from accounts.views import ActionFormView


class OperatorRequiredMixin(LoginRequiredMixin):
    """Admits operators; others find no such page."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Raise Http404 for users who are no operators."""
        if request.user.is_authenticated and not request.user.is_admin:
            raise Http404
        return super().dispatch(request, *args, **kwargs)


class TwoFactor(OperatorRequiredMixin, TemplateView):
    """Show whether two-step verification is on, and what can be done."""

    template_name = "accounts/two_factor.html"


class TwoFactorFormView(OperatorRequiredMixin, ActionFormView):
    """A form of these pages; it counts as a check of the current password."""

    success_url = reverse_lazy("two_factor")
    codes: list[str] | None = None

    def form_valid(self, form: BaseForm) -> HttpResponse:
        """Call the action, and show the recovery codes that it made: once."""
        response = super().form_valid(form)
        if self.codes is None:
            return response
        return render(self.request, "accounts/recovery_codes.html", {"codes": self.codes})

    def operator(self) -> User:
        """Return the operator; raise RateLimited after too many attempts."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        return user


class StartTwoFactor(TwoFactorFormView):
    """Begin the set-up, which the current password confirms."""

    form_class = ConfirmedForm
    template_name = "accounts/start_two_factor.html"
    success_url = reverse_lazy("confirm_two_factor")

    def call_action(self, values: dict[str, Any]) -> None:
        """Make a new secret."""
        two_factor.start_setup(self.operator(), values["current_password"])


class ConfirmTwoFactor(TwoFactorFormView):
    """Show the secret, and complete the set-up with its first code."""

    form_class = CodeForm
    template_name = "accounts/confirm_two_factor.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the secret, or begin again when none is waiting."""
        if two_factor.unconfirmed_device(cast(User, request.user)) is None:
            return redirect("two_factor")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the context with the secret as a picture and as text."""
        device = two_factor.unconfirmed_device(cast(User, self.request.user))
        shown = {"picture": qr_code(device), "secret": readable_secret(device)} if device else {}
        return super().get_context_data(**shown, **kwargs)

    def call_action(self, values: dict[str, Any]) -> None:
        """Require codes from now on."""
        self.codes = two_factor.confirm_setup(self.operator(), values["code"], self.request.session.session_key)


class NewRecoveryCodes(TwoFactorFormView):
    """Replace the recovery codes."""

    form_class = CodeConfirmedForm
    template_name = "accounts/new_recovery_codes.html"

    def call_action(self, values: dict[str, Any]) -> None:
        """Replace them."""
        self.codes = two_factor.replace_recovery_codes(self.operator(), values["current_password"], values["code"])


class RemoveTwoFactor(TwoFactorFormView):
    """Turn two-step verification off."""

    form_class = CodeConfirmedForm
    template_name = "accounts/remove_two_factor.html"

    def call_action(self, values: dict[str, Any]) -> None:
        """Turn it off."""
        two_factor.remove_two_factor(self.operator(), values["current_password"], values["code"])
        messages.success(self.request, _("Two-step verification is off."))


def qr_code(device: Authenticator) -> SafeString:
    """Return the secret as the picture that authenticator apps read, as inline SVG."""
    picture = segno.make(device.config_url, error="m").svg_inline(
        border=4, omitsize=True, light="#fff", svgclass="qr", lineclass=None
    )
    return mark_safe(picture)  # noqa: S308  (segno's own markup; the address is drawn, not written)


def readable_secret(device: Authenticator) -> str:
    """Return the secret in groups of four letters, to be typed."""
    letters = b32encode(device.bin_key).decode()
    return " ".join(letters[start : start + 4] for start in range(0, len(letters), 4))
