"""Pages of accounts: registration, sign-in, sign-out, sign-ins, changes of email and password, and closing the account."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView, View
from django.views.i18n import set_language

from accounts import audit, closing, email_change, passwords, registration, sign_ins, throttles
from accounts.clients import remember_device
from accounts.email_links import LinkNotValid
from accounts.forms import (
    CODE_MESSAGES,
    CloseForm,
    ConfirmedForm,
    EmailForm,
    PasswordForm,
    RegistrationForm,
    SignInForm,
    as_form_error,
    wait_of,
)
from accounts.invitations import COOKIE, MAX_CODE_LENGTH, invitation_of
from accounts.languages import LANGUAGES, change_language
from accounts.models import User
from accounts.password_hashing import HashingBusy
from accounts.registration import EmailTaken
from accounts.two_factor import CodeNotValid, CodeRequired, SetupExpired
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
        except (CodeRequired, CodeNotValid) as refusal:
            form.add_error("code", CODE_MESSAGES[refusal.code])
        except (closing.LastAdmin, SetupExpired, LinkNotValid) as refusal:
            form.add_error(None, translation.gettext(refusal.message))
        except ValidationError as error:
            form.add_error(None, error)
        return super().form_valid(form) if form.is_valid() else self.form_invalid(form)

    def call_action(self, values: dict[str, Any]) -> None:
        """Call the action with the cleaned values of the form."""
        raise NotImplementedError


def choose_language(request: HttpRequest) -> HttpResponseBase:
    """Show the pages in another language from now on, and send the signed-in user's emails in it."""
    response = set_language(request)
    code = request.POST.get("language", "")
    if code in LANGUAGES and isinstance(request.user, User):
        change_language(request.user, code)
    return response


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

    def get_initial(self) -> dict[str, Any]:
        """Return the invitation code of the link that was followed first."""
        return {"referral_code": self.request.COOKIES.get(COOKIE, self.request.GET.get("code", ""))[:MAX_CODE_LENGTH]}

    def call_action(self, values: dict[str, Any]) -> None:
        """Register the user and sign them in."""
        throttles.check_registration(self.request)
        invitation = invitation_of(self.request, values.pop("referral_code"))
        user = registration.register_user(**values, invitation=invitation)
        login(self.request, user)
        remember_device(self.request, user.email)
        messages.success(self.request, _("Welcome. Here's what you can claim. We've sent you a link to confirm your email."))


class Account(LoginRequiredMixin, TemplateView):
    """The account page."""

    template_name = "accounts/account.html"


class SignIns(LoginRequiredMixin, TemplateView):
    """The browsers and apps that are signed in."""

    template_name = "accounts/sign_ins.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the context with the sign-ins, this one first."""
        found = sign_ins.list_sign_ins(cast(User, self.request.user), self.request.session.session_key)
        return super().get_context_data(sign_ins=found, **kwargs)


class EndSignIn(LoginRequiredMixin, View):
    """End one sign-in and return to the list."""

    http_method_names = ["post"]  # noqa: RUF012

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """End it."""
        try:
            sign_ins.end_one_sign_in(cast(User, request.user), pk)
            messages.success(request, _("Signed out there."))
        except sign_ins.SignInNotFound as refusal:
            messages.info(request, translation.gettext(refusal.message))
        return redirect("sign_ins")


class ChangeEmail(LoginRequiredMixin, ActionFormView):
    """Ask for a change of the email. All sessions stay signed in."""

    form_class = EmailForm
    template_name = "accounts/email.html"
    email_taken_message = gettext_lazy("This email already has an account. Choose another one.")

    def call_action(self, values: dict[str, Any]) -> None:
        """Send the link to the new email."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        throttles.check_link_request(self.request, values["email"])
        email_change.request_email_change(user, values["current_password"], values["email"])
        messages.success(self.request, _("Check your new inbox: your email changes when you open the link we sent there."))


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


class CloseAccount(LoginRequiredMixin, ActionFormView):
    """Close the account for good, and sign out."""

    form_class = CloseForm
    template_name = "accounts/close.html"
    success_url = reverse_lazy("landing")

    def get_form_kwargs(self) -> dict[str, Any]:
        """Ask for a code where the account has two-step verification."""
        return super().get_form_kwargs() | {"needs_code": cast(User, self.request.user).two_factor_since is not None}

    def call_action(self, values: dict[str, Any]) -> None:
        """Close it."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        closing.close_account(user, values["current_password"], values.get("code", ""))
        logout(self.request)
        messages.success(self.request, _("Your account is closed."))
