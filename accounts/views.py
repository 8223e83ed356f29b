"""Pages of accounts: registration, sign-in, sign-out, and changes of email and password."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from accounts import audit, email_change, passwords, registration, throttles
from accounts.forms import ConfirmedForm, EmailForm, PasswordForm, RegistrationForm, SignInForm, as_form_error, wait_of
from accounts.models import User
from accounts.password_hashing import HashingBusy
from accounts.registration import EmailTaken
from kernel.rate_limits import RateLimited


class RateLimitedFormView(FormView[Any]):
    """A form page that responds 429 to too many attempts and 503 while hashing is busy, with Retry-After."""

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        """Show the form again, with its errors."""
        response = super().form_invalid(form)
        if status_and_wait := wait_of(form):
            response.status_code, wait = status_and_wait
            response.context_data["wait"] = wait  # type: ignore[attr-defined]
            response["Retry-After"] = str(wait)
        return response


class SignIn(RateLimitedFormView, LoginView):
    """Sign in and continue to the requested page, if it is one of ours."""

    form_class = SignInForm
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class ActionFormView(RateLimitedFormView):
    """A form that calls one action and shows its refusals beside the fields."""

    success_url = reverse_lazy("account")
    email_taken_message = gettext_lazy("This email already has an account. Sign in instead.")

    def form_valid(self, form: BaseForm) -> HttpResponse:
        """Call the action, or show its refusal in the form."""
        try:
            self.call_action(form.cleaned_data)
        except (RateLimited, HashingBusy) as refusal:
            form.add_error(None, as_form_error(refusal))
        except EmailTaken:
            form.add_error("email", self.email_taken_message)
        except ValidationError as error:
            form.add_error(None, error)
        return super().form_valid(form) if form.is_valid() else self.form_invalid(form)

    def call_action(self, values: dict[str, Any]) -> None:
        """Call the action with the cleaned values of the form."""
        raise NotImplementedError


class SignOut(LogoutView):
    """Sign out."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out, and record it when a user was signed in."""
        if request.user.is_authenticated:
            audit.record_event("sign_out", "done", request.user)
        return super().post(request, *args, **kwargs)


class Register(ActionFormView):
    """Create an account and sign in."""

    form_class = RegistrationForm
    template_name = "accounts/register.html"
    success_url = reverse_lazy("offers")

    def call_action(self, values: dict[str, Any]) -> None:
        """Register the user and sign them in."""
        throttles.check_registration(self.request)
        login(self.request, registration.register_user(**values))
        messages.success(self.request, _("Welcome. Here's what you can claim."))


class Account(LoginRequiredMixin, TemplateView):
    """The account page."""

    template_name = "accounts/account.html"


class ChangeEmail(LoginRequiredMixin, ActionFormView):
    """Change the email. All sessions stay signed in."""

    form_class = EmailForm
    template_name = "accounts/email.html"
    email_taken_message = gettext_lazy("This email already has an account. Choose another one.")

    def call_action(self, values: dict[str, Any]) -> None:
        """Change the email."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        email_change.change_email(user, values["current_password"], values["email"])
        messages.success(self.request, _("Email updated. Use it next time you sign in."))


class ChangePassword(LoginRequiredMixin, ActionFormView):
    """Change the password. All other sessions are revoked."""

    form_class = PasswordForm
    template_name = "accounts/password.html"

    def call_action(self, values: dict[str, Any]) -> None:
        """Change the password and keep this session."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        passwords.change_password(user, values["current_password"], values["new_password"])
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("Password updated. You've been signed out everywhere else."))


class SignOutElsewhere(LoginRequiredMixin, ActionFormView):
    """Revoke all other sessions, in browsers and apps."""

    form_class = ConfirmedForm
    template_name = "accounts/sign_out_elsewhere.html"

    def call_action(self, values: dict[str, Any]) -> None:
        """Revoke the other sessions and keep this one."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        passwords.revoke_other_sign_ins(user, values["current_password"])
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("You've been signed out everywhere else."))
