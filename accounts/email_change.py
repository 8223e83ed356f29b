"""The change of a user's email, which takes effect once its owner follows the link that is sent to it.

Otherwise a mistyped address would at once be what signs in and what receives the link for a forgotten password: the stranger
who has it could take the account over, and its owner could not get back.
"""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts import audit, mail
from accounts.email_addresses import normal_email
from accounts.models import User
from accounts.passwords import current_password_error, verify_current_password
from accounts.registration import EmailTaken, email_uniqueness
from kernel.validation import Errors, collect_errors, raise_errors


def request_email_change(user: User, current: str, email: str) -> None:
    """Send a link to the new email after checking the current password, and a notice to the current email.

    Until the link is followed (email_verification.verify_email) nothing else changes; sessions and tokens remain valid. Raises
    ValidationError (for `email` or `current_password`), EmailTaken, RateLimited, HashingBusy; then nothing has changed. Callers
    count the attempt first.
    """
    with audit.recording_refusal("email_change", user, email=audit.email_digest(email)):
        errors: Errors = {}
        collect_errors(errors, verify_current_password, user, current)
        new_email = collect_errors(errors, validate_new_email, email, user) or ""
        raise_errors(errors)
        if User.objects.filter(email=new_email).exists():
            raise EmailTaken
        store_pending_email(user, new_email)
    user.pending_email = new_email


def store_pending_email(user: User, email: str) -> None:
    """Store the email that waits for its link, and enqueue the link and the notice, unless the account has changed.

    It is one conditional UPDATE: PostgreSQL waits for a concurrent change of the row and evaluates the condition again.
    """
    with email_uniqueness():
        if not User.objects.filter(pk=user.pk, password=user.password, is_active=True).update(pending_email=email):
            raise current_password_error()
        mail.enqueue_email(mail.EMAIL_LINK, user.pk)
        mail.enqueue_email(mail.CHANGE_NOTICE, user.pk)


def validate_new_email(email: str, user: User) -> str:
    """Return the normalised email; raise ValidationError if it is invalid or the current one."""
    new_email = normal_email(email)
    User(email=new_email).clean_fields(exclude=["password"])
    if new_email == user.email:
        raise ValidationError({"email": ValidationError(_("That's already your email."), code="same")})
    return new_email
