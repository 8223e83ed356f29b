"""Verifying that an email is the user's: the link is sent at registration, at a change of email, and again on request."""

from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _

from accounts import audit, mail
from accounts.email_links import LinkNotValid, email_tokens, user_of_link
from accounts.models import User
from accounts.registration import email_uniqueness
from kernel.refusals import Conflict


class EmailAlreadyVerified(Conflict):
    code = "email_already_verified"
    meaning = _("The email is verified and no change of it is waiting.")
    detail = _("Your email is already verified. You can continue without a link.")


def send_link_again(user: User) -> None:
    """Send the link again. Raises EmailAlreadyVerified. Callers count the attempt first."""
    if user.email_verified_at and not user.pending_email:
        raise EmailAlreadyVerified
    mail.enqueue_email(mail.EMAIL_LINK, user.pk)


def verify_email(token: str) -> User:
    """Record that the link's user owns the email, or put the new email in place of the current one, and return the user.

    Raises LinkNotValid; EmailTaken if someone registered with the new email meanwhile.
    """
    with audit.recording_refusal("email_verify"):
        user = user_of_link(token, email_tokens)
        email = user.pending_email or user.email
        with email_uniqueness():
            # Conditional on what the link covers: of two uses one succeeds, and a change of the password meanwhile ends it.
            unchanged = User.objects.filter(
                pk=user.pk, email=user.email, pending_email=user.pending_email, password=user.password, is_active=True
            )
            if not unchanged.update(email=email, pending_email="", email_verified_at=Now()):
                raise LinkNotValid
    digests = {"email": audit.email_digest(email), "before": audit.email_digest(user.email)}
    audit.record_event("email_change" if user.pending_email else "email_verify", "done", user, **digests)
    user.email, user.pending_email = email, ""
    return user
