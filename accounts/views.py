"""The HTML door to accounts: register, sign in, sign out, and what a person may change."""

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
    """A form page that answers too many tries with 429, too many people at once with 503, and Retry-After."""

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        """Show the form again, with its errors."""
        answer = super().form_invalid(form)
        if found := wait_of(form):
            answer.status_code, wait = found
            answer.context_data["wait"] = wait  # type: ignore[attr-defined]
            answer["Retry-After"] = str(wait)
        return answer


class SignIn(RateLimitedFormView, LoginView):
    """Sign in, and go where the visitor was heading, if that is one of our own pages."""

    form_class = SignInForm
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class ActionFormView(RateLimitedFormView):
    """A form for one act, whose refusals stand beside its fields."""

    success_url = reverse_lazy("account")
    taken = gettext_lazy("This email already has an account. Sign in instead.")

    def form_valid(self, form: BaseForm) -> HttpResponse:
        """Do what the form asks, or show what was refused."""
        try:
            self.act(form.cleaned_data)
        except (RateLimited, HashingBusy) as refusal:
            form.add_error(None, as_form_error(refusal))
        except EmailTaken:
            form.add_error("email", self.taken)
        except ValidationError as error:
            form.add_error(None, error)
        return super().form_valid(form) if form.is_valid() else self.form_invalid(form)

    def act(self, given: dict[str, Any]) -> None:
        """Make the one call into the act."""
        raise NotImplementedError


class SignOut(LogoutView):
    """End this session."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out; who was not signed in stays so."""
        if request.user.is_authenticated:
            audit.record_event("sign_out", "done", request.user)
        return super().post(request, *args, **kwargs)


class Register(ActionFormView):
    """Become a user and be signed in."""

    form_class = RegistrationForm
    template_name = "accounts/register.html"
    success_url = reverse_lazy("offers")

    def act(self, given: dict[str, Any]) -> None:
        """Register and sign in."""
        throttles.check_registration(self.request)
        login(self.request, registration.register_user(**given))
        messages.success(self.request, _("Welcome. Here's what you can claim."))


class Account(LoginRequiredMixin, TemplateView):
    """Who one is here, and what one may change."""

    template_name = "accounts/account.html"


class ChangeEmail(LoginRequiredMixin, ActionFormView):
    """Change the email; every sign-in goes on."""

    form_class = EmailForm
    template_name = "accounts/email.html"
    taken = gettext_lazy("This email already has an account. Choose another one.")

    def act(self, given: dict[str, Any]) -> None:
        """Change it."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        email_change.change_email(user, given["current_password"], given["email"])
        messages.success(self.request, _("Email updated. Use it next time you sign in."))


class ChangePassword(LoginRequiredMixin, ActionFormView):
    """Change the password; every other sign-in ends, this one goes on."""

    form_class = PasswordForm
    template_name = "accounts/password.html"

    def act(self, given: dict[str, Any]) -> None:
        """Change it and keep this session."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        passwords.change_password(user, given["current_password"], given["new_password"])
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("Password updated. You've been signed out everywhere else."))


class SignOutElsewhere(LoginRequiredMixin, ActionFormView):
    """End every sign-in, in browsers and apps; this one goes on."""

    form_class = ConfirmedForm
    template_name = "accounts/sign_out_elsewhere.html"

    def act(self, given: dict[str, Any]) -> None:
        """End them and keep this session."""
        user = cast(User, self.request.user)
        throttles.check_password_change(self.request, user)
        passwords.revoke_other_sign_ins(user, given["current_password"])
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("You've been signed out everywhere else."))
