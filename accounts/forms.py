"""Forms of accounts. They validate fields and rate limits and leave the rest to the actions."""

from contextlib import suppress
from typing import Any, cast

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext_lazy
from unfold.forms import AuthenticationForm as ConsoleForm

from accounts import audit, clients, throttles, two_factor
from accounts.invitations import MAX_CODE_LENGTH
from accounts.models import User
from accounts.password_forms import password_forms
from accounts.password_hashing import HashingBusy
from accounts.passwords import MAX_PASSWORD_LENGTH, validate_new_password
from kernel.rate_limits import RateLimited, format_wait

# Messages of Django's validators without a Hindi translation in Django: listed here, they enter our catalogue.
DJANGO_ERROR_MESSAGES = (
    gettext_noop("This password is too common."),
    gettext_noop("This password is entirely numeric."),
    gettext_noop("The password is too similar to the %(verbose_name)s."),
    gettext_noop("Null characters are not allowed."),
    ngettext_lazy(
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
)


# Django's Hindi catalogue misspells this month; ours takes precedence.
NOVEMBER = gettext_noop("November")


def password_rules() -> SafeString:
    """Return the rules for a new password, in line with AUTH_PASSWORD_VALIDATORS."""
    rules = [_("At least 10 characters"), _("Not just numbers"), _("Not a common password"), _("Not similar to your email")]
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((rule,) for rule in rules)))


def password_field(autocomplete: str, **options: Any) -> forms.CharField:
    """Return a field for a password, never trimmed and short enough to hash."""
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(strip=False, max_length=MAX_PASSWORD_LENGTH, widget=widget, **options)


def code_field(**options: Any) -> forms.CharField:
    """Return a field for a code from an authenticator app, or a recovery code."""
    widget = forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"})
    return forms.CharField(
        max_length=20, widget=widget, **{"label": gettext_lazy("Code from your authenticator app")} | options
    )


class SignInForm(AuthenticationForm):
    """Signs in by email and password, and by a code where the account needs one.

    The rate limit is checked before Django hashes the password. The code is asked for once the password was right.
    """

    password = password_field("current-password", label=gettext_lazy("Password"))
    code = code_field(required=False, help_text=gettext_lazy("Or one of your recovery codes."))
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": gettext_lazy("That email and password don't match. Try again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Email")
        self.fields["username"].widget.attrs |= {"type": "email", "autocomplete": "username"}
        if "code" not in self.data:
            self.code_field = self.fields.pop("code")

    def clean(self) -> dict[str, Any]:
        """Authenticate and return the cleaned data; raise ValidationError."""
        email = self.cleaned_data.get("username", "")
        try:
            throttles.check_sign_in(cast(HttpRequest, self.request), email)
            return self.authenticate_and_audit(email)
        except (RateLimited, HashingBusy) as refusal:
            raise as_form_error(refusal) from refusal
        except (two_factor.CodeRequired, two_factor.CodeNotValid) as refusal:
            self.ask_for_code()
            raise ValidationError(CODE_MESSAGES[refusal.code], code=refusal.code) from refusal

    def ask_for_code(self) -> None:
        """Show the field for the code."""
        if "code" not in self.fields:
            self.fields["code"] = self.code_field
        self.fields["username"].widget.attrs.pop("autofocus", None)
        self.fields["password"].widget.attrs["autofocus"] = True

    def authenticate_and_audit(self, email: str) -> dict[str, Any]:
        """Authenticate, and record the success or the refusal in the audit log."""
        request = cast(HttpRequest, self.request)
        with audit.recording_refusal("sign_in", email=audit.email_digest(email)):
            try:
                cleaned = self.authenticate_forms()
            except ValidationError as error:
                # A user without console access counts too, as the response must equal that to a wrong password.
                if error.code != two_factor.NotSetUp.code:
                    throttles.count_wrong_password(email, clients.known_device(request, email))
                raise
            if user := self.get_user():
                two_factor.require_code(user, self.cleaned_data.get("code", ""))
        if user:
            audit.record_event("sign_in", "done", user, email=audit.email_digest(email))
            clients.remember_device(request, email)
        return cleaned

    def authenticate_forms(self) -> dict[str, Any]:
        """Authenticate with the password in its normal form, then as typed; raise the ValidationError of the last try."""
        *first, last = password_forms(self.cleaned_data.get("password", ""))
        for form in first:
            self.cleaned_data["password"] = form
            with suppress(ValidationError):
                return super().clean()
        self.cleaned_data["password"] = last
        return super().clean()


class ThrottledSignInForm(SignInForm, ConsoleForm):  # type: ignore[misc]
    """The sign-in form of the console. It shares its rate limits with the sign-in page and the API."""

    def ask_for_code(self) -> None:
        """Show the field for the code. The template draws it before the form that it belongs to."""
        super().ask_for_code()
        self.fields["code"].widget.attrs |= {"form": "login-form", "class": self.fields["password"].widget.attrs["class"]}

    def confirm_login_allowed(self, user: User) -> None:
        """Raise ValidationError unless the user may use the console; name the reason that an operator can mend."""
        if user.lacks_two_factor:
            raise ValidationError(CODE_MESSAGES[two_factor.NotSetUp.code], code=two_factor.NotSetUp.code)
        super().confirm_login_allowed(user)


class RegistrationForm(forms.Form):
    """Registers a user."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    password = password_field("new-password", label=gettext_lazy("Password"), help_text=lazy(password_rules, SafeString)())
    referral_code = forms.CharField(
        label=gettext_lazy("Invitation code"),
        help_text=gettext_lazy("If a friend invited you. Otherwise leave it blank."),
        required=False,
        max_length=MAX_CODE_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        """Validate the password even when the email is invalid, so that all errors are shown at once."""
        values: dict[str, Any] = super().clean() or {}
        if "email" in self.errors and "password" in values:
            validate_new_password(values["password"], User(), "password")
        return values


class ConfirmedForm(forms.Form):
    """Asks for the current password."""

    current_password = password_field("current-password", label=gettext_lazy("Current password"))


class EmailForm(ConfirmedForm):
    """Asks for the new email and the current password."""

    email = forms.EmailField(
        label=gettext_lazy("New email"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    field_order = ("email", "current_password")


class CodeConfirmedForm(ConfirmedForm):
    """Asks for the current password and a code from the authenticator app."""

    code = code_field()


class CodeForm(forms.Form):
    """Asks for a code from the authenticator app."""

    code = code_field()


class CloseForm(ConfirmedForm):
    """Asks for the current password, and for a code where the account has two-step verification."""

    code = code_field(required=False)

    def __init__(self, *args: Any, needs_code: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_code:
            del self.fields["code"]


class ForgottenPasswordForm(forms.Form):
    """Asks for the email of the account."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )


class NewPasswordForm(forms.Form):
    """Asks for a new password."""

    new_password = password_field(
        "new-password", label=gettext_lazy("New password"), help_text=lazy(password_rules, SafeString)()
    )


class PasswordForm(ConfirmedForm):
    """Asks for the current and the new password."""

    new_password = password_field(
        "new-password", label=gettext_lazy("New password"), help_text=lazy(password_rules, SafeString)()
    )


# Messages of refusals about two-step verification, by their codes.
CODE_MESSAGES = {
    two_factor.CodeRequired.code: gettext_lazy("Now enter your password again, and the code from your authenticator app."),
    two_factor.CodeNotValid.code: gettext_lazy("That code is wrong or was used before. Wait for the next one and try again."),
    two_factor.NotSetUp.code: gettext_lazy(
        "Operators need two-step verification here. Sign in on the website and set it up on your account page."
    ),
}
# Status and message of a temporary refusal, by its code.
TEMPORARY_REFUSALS = {
    RateLimited.code: (429, gettext_lazy("Too many attempts. Please wait %(time)s, then try again.")),
    HashingBusy.code: (503, gettext_lazy("We're very busy right now. Please wait %(time)s, then try again.")),
}


def as_form_error(refusal: RateLimited | HashingBusy) -> ValidationError:
    """Return the refusal as an error of the whole form, with the seconds to wait in its params."""
    seconds = refusal.retry_after or 1
    params = {"seconds": seconds, "time": format_wait(seconds)}
    return ValidationError(TEMPORARY_REFUSALS[refusal.code][1], code=refusal.code, params=params)


def wait_of(form: forms.BaseForm) -> tuple[int, int] | None:
    """Return the response status and the seconds to wait of a temporary refusal, else None."""
    errors = form.non_field_errors().as_data()
    waits = (
        (TEMPORARY_REFUSALS[error.code][0], error.params["seconds"])
        for error in errors
        if error.code in TEMPORARY_REFUSALS and error.params
    )
    return next(waits, None)
