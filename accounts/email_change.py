"""The change of a user's email."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User, normal_email
from accounts.passwords import current_password_error, verify_current_password
from accounts.registration import email_uniqueness
from kernel.validation import Errors, collect_errors, raise_errors


def change_email(user: User, current: str, email: str) -> None:
    """Change the email of `user` after checking the current password; sessions and tokens remain valid.

    The unique constraint decides between concurrent requests for one email. Raises ValidationError (for `email` or
    `current_password`), EmailTaken, RateLimited, HashingBusy; then nothing has changed. Callers count the attempt first.
    """
    with audit.recording_refusal("email_change", user, email=audit.email_digest(email)):
        errors: Errors = {}
        collect_errors(errors, verify_current_password, user, current)
        new_email = collect_errors(errors, validate_new_email, email, user) or ""
        raise_errors(errors)
        store_email(user, new_email)
    old_email, user.email = user.email, new_email
    audit.record_event("email_change", "done", user, email=audit.email_digest(new_email), before=audit.email_digest(old_email))


def store_email(user: User, email: str) -> None:
    """Store the email unless the password was changed or the account was closed since the password check.

    It is one conditional UPDATE: PostgreSQL waits for a concurrent change of the row and evaluates the condition again.
    """
    with email_uniqueness():
        updated = User.objects.filter(pk=user.pk, password=user.password, is_active=True).update(email=email)
    if not updated:
        raise current_password_error()


def validate_new_email(email: str, user: User) -> str:
    """Return the normalised email; raise ValidationError if it is invalid or equal to the current one."""
    new_email = normal_email(email)
    User(email=new_email).clean_fields(exclude=["password"])
    if new_email == user.email:
        raise ValidationError({"email": ValidationError(_("That's already your email."), code="same")})
    return new_email
