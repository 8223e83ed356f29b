"""Changing the email that a person signs in with."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User, normal_email
from accounts.passwords import current_password_error, verify_current_password
from accounts.registration import email_uniqueness


def change_email(user: User, current: str, email: str) -> None:
    """Let `user`, who proves to be it by the present password, sign in with another email. Every sign-in goes on.

    The unique email decides between two who want the same. Raises ValidationError, naming `email` or `current_password`,
    EmailTaken, RateLimited and HashingBusy; then nothing changed. Count the try before calling.
    """
    with audit.recording_refusal("email_change", user, email=audit.email_digest(email)):
        verify_current_password(user, current)
        wanted = validate_new_email(email, user)
        write(user, wanted)
    before, user.email = user.email, wanted
    audit.record_event("email_change", "done", user, email=audit.email_digest(wanted), before=audit.email_digest(before))


def write(user: User, wanted: str) -> None:
    """Write the email, unless the password was changed or the account was closed since the password was checked.

    PostgreSQL waits for a change of the row that is under way, and looks at the row again: one statement decides.
    """
    with email_uniqueness():
        found = User.objects.filter(pk=user.pk, password=user.password, is_active=True).update(email=wanted)
    if not found:
        raise current_password_error()


def validate_new_email(email: str, user: User) -> str:
    """Return the email as it is stored; raise ValidationError unless it is one, and another one than now."""
    wanted = normal_email(email)
    User(email=wanted).clean_fields(exclude=["password"])
    if wanted == user.email:
        raise ValidationError({"email": ValidationError(_("That's already your email."), code="same")})
    return wanted
