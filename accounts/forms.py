"""The forms that people meet on pages: they check a shape, count a try, and leave the rest to the acts."""

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
    """Return what a new password must be, as AUTH_PASSWORD_VALIDATORS will ask for it."""
    rules = [_("At least 10 characters"), _("Not just numbers"), _("Not a common password"), _("Not similar to your email")]
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((rule,) for rule in rules)))


def password_field(autocomplete: str, **options: Any) -> forms.CharField:
    """Return a field for a password, never trimmed and short enough to hash."""
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(strip=False, max_length=MAX_PASSWORD_LENGTH, widget=widget, **options)


class SignInForm(AuthenticationForm):
    """Email and password; each try is counted before Django hashes anything."""

    password = password_field("current-password", label=gettext_lazy("Password"))
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": gettext_lazy("That email and password don't match. Try again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Email")
        self.fields["username"].widget.attrs |= {"type": "email", "autocomplete": "username"}

    def clean(self) -> dict[str, Any]:
        """Return the cleaned data of someone who signed in; raise ValidationError."""
        email = self.cleaned_data.get("username", "")
        try:
            throttles.check_sign_in(cast(HttpRequest, self.request), email)
            return self.audited(email)
        except (RateLimited, HashingBusy) as refusal:
            raise as_form_error(refusal) from refusal

    def audited(self, email: str) -> dict[str, Any]:
        """Do the same, and record who came in or who did not."""
        with audit.recording_refusal("sign_in", email=audit.email_digest(email)):
            try:
                cleaned = super().clean()
            except ValidationError:
                # Somebody whom the console does not admit counts too: the answer must be the same as to a wrong password.
                throttles.count_wrong_password(email)
                raise
        if user := self.get_user():
            audit.record_event("sign_in", "done", user, email=audit.email_digest(email))
        return cleaned


class ThrottledSignInForm(SignInForm, ConsoleForm):  # type: ignore[misc]
    """The same in front of the console, for ADMINs alone; counted together with the sign-in page and the API."""


class RegistrationForm(forms.Form):
    """What a newcomer fills in."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    password = password_field("new-password", label=gettext_lazy("Password"), help_text=lazy(password_rules, SafeString)())

    def clean(self) -> dict[str, Any]:
        """Judge the password beside a wrong email too, for then the act never sees it: all mistakes are told at once."""
        given: dict[str, Any] = super().clean() or {}
        if "email" in self.errors and "password" in given:
            validate_new_password(given["password"], User(), "password")
        return given


class ConfirmedForm(forms.Form):
    """The password there is."""

    current_password = password_field("current-password", label=gettext_lazy("Current password"))


class EmailForm(ConfirmedForm):
    """The email there shall be, confirmed by the password."""

    email = forms.EmailField(
        label=gettext_lazy("New email"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    field_order = ("email", "current_password")


class PasswordForm(ConfirmedForm):
    """The password there is and the one there shall be."""

    new_password = password_field(
        "new-password", label=gettext_lazy("New password"), help_text=lazy(password_rules, SafeString)()
    )


# What a visitor reads who must wait, and the status of that answer, by the code of the refusal.
WAITING = {
    RateLimited.code: (429, gettext_lazy("Too many attempts. Please wait %(time)s, then try again.")),
    HashingBusy.code: (503, gettext_lazy("We're very busy right now. Please wait %(time)s, then try again.")),
}


def as_form_error(refusal: RateLimited | HashingBusy) -> ValidationError:
    """Return the refusal as an error of the whole form, which carries the seconds to wait."""
    seconds = refusal.retry_after or 1
    params = {"seconds": seconds, "time": format_wait(seconds)}
    return ValidationError(WAITING[refusal.code][1], code=refusal.code, params=params)


def wait_of(form: forms.BaseForm) -> tuple[int, int] | None:
    """Return the status to answer and the seconds to wait when the form was refused for now, else None."""
    errors = form.non_field_errors().as_data()
    waits = ((WAITING[error.code][0], error.params["seconds"]) for error in errors if error.code in WAITING and error.params)
    return next(waits, None)
