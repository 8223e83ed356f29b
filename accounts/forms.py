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

from accounts import audit, throttles
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


class SignInForm(AuthenticationForm):
    """Signs in by email and password. The rate limit is checked before Django hashes the password."""

    password = password_field("current-password", label=gettext_lazy("Password"))
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": gettext_lazy("That email and password don't match. Try again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Email")
        self.fields["username"].widget.attrs |= {"type": "email", "autocomplete": "username"}

    def clean(self) -> dict[str, Any]:
        """Authenticate and return the cleaned data; raise ValidationError."""
        email = self.cleaned_data.get("username", "")
        try:
            throttles.check_sign_in(cast(HttpRequest, self.request), email)
            return self.authenticate_and_audit(email)
        except (RateLimited, HashingBusy) as refusal:
            raise as_form_error(refusal) from refusal

    def authenticate_and_audit(self, email: str) -> dict[str, Any]:
        """Authenticate, and record the success or the refusal in the audit log."""
        with audit.recording_refusal("sign_in", email=audit.email_digest(email)):
            try:
                cleaned = self.authenticate_forms()
            except ValidationError:
                # A user without console access counts too, as the response must equal that to a wrong password.
                throttles.count_wrong_password(email)
                raise
        if user := self.get_user():
            audit.record_event("sign_in", "done", user, email=audit.email_digest(email))
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


class RegistrationForm(forms.Form):
    """Registers a user."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    password = password_field("new-password", label=gettext_lazy("Password"), help_text=lazy(password_rules, SafeString)())

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


class PasswordForm(ConfirmedForm):
    """Asks for the current and the new password."""

    new_password = password_field(
        "new-password", label=gettext_lazy("New password"), help_text=lazy(password_rules, SafeString)()
    )


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
