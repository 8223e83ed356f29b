"""Pages of links sent by email: the forgotten password and the verification of an email."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.generic import View

from accounts import email_verification, password_reset, throttles
from accounts.email_links import LinkNotValid, email_tokens, password_tokens, user_of_link
from accounts.forms import ForgottenPasswordForm, NewPasswordForm, as_form_error
from accounts.models import User
from accounts.registration import EmailTaken
from accounts.views import ActionFormView
from kernel.rate_limits import RateLimited


class ForgottenPassword(ActionFormView):
    """Ask for a link for a new password. The answer is the same whether or not the email has an account."""

    form_class = ForgottenPasswordForm
    template_name = "accounts/forgotten_password.html"
    success_url = reverse_lazy("sign_in")

    def call_action(self, values: dict[str, Any]) -> None:
        """Send the link."""
        throttles.check_link_request(self.request, values["email"])
        password_reset.request_password_link(values["email"])
        text = _("If %(email)s has an account, we've sent a link there. It works for a short time.")
        messages.success(self.request, text % {"email": values["email"]})


class LinkView(ActionFormView):
    """A page behind a link. Opening it changes nothing, because mail programs open links too."""

    tokens: PasswordResetTokenGenerator

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the context with the link's user, None for a link that does not work."""
        try:
            link_user = user_of_link(self.kwargs["token"], self.tokens)
        except LinkNotValid:
            link_user = None
        return super().get_context_data(link_user=link_user, **kwargs)


class ResetPassword(LinkView):
    """Choose a new password by link."""

    form_class = NewPasswordForm
    template_name = "accounts/reset_password.html"
    success_url = reverse_lazy("sign_in")
    tokens = password_tokens

    def call_action(self, values: dict[str, Any]) -> None:
        """Store the password."""
        password_reset.reset_password(self.kwargs["token"], values["new_password"])
        messages.success(self.request, _("Password updated. You've been signed out everywhere. Sign in with the new one."))


class VerifyEmail(LinkView):
    """Confirm an email by link."""

    form_class = Form
    template_name = "accounts/verify_email.html"
    tokens = email_tokens
    success_url = reverse_lazy("account")

    def call_action(self, values: dict[str, Any]) -> None:
        """Verify the email."""
        try:
            user = email_verification.verify_email(self.kwargs["token"])
        except EmailTaken as error:
            raise ValidationError(self.email_taken_message) from error
        messages.success(self.request, _("%(email)s is confirmed.") % {"email": user.email})


class ResendEmailLink(LoginRequiredMixin, View):
    """Send the link that verifies the email again, and return to the account."""

    http_method_names = ["post"]  # noqa: RUF012

    def post(self, request: HttpRequest) -> HttpResponse:
        """Send it."""
        user = cast(User, request.user)
        email = user.pending_email or user.email
        try:
            throttles.check_link_request(request, email)
            email_verification.send_link_again(user)
            messages.success(request, _("We've sent a link to %(email)s.") % {"email": email})
        except RateLimited as refusal:
            messages.warning(request, as_form_error(refusal).messages[0])
        except email_verification.EmailAlreadyVerified as refusal:
            messages.info(request, translation.gettext(refusal.message))
        return redirect("account")
