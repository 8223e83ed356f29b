"""The forgotten password: a link by email, and the new password that it allows."""

from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, mail
from accounts.email_addresses import normal_email
from accounts.email_links import LinkNotValid, password_tokens, user_of_link
from accounts.models import BrowserSession, Revoked, User
from accounts.passwords import store_password, validate_new_password


def request_password_link(email: str) -> None:
    """Send the user with this email a link for a new password. An unknown email costs the same work. Callers count it first."""
    with transaction.atomic():
        user = User.objects.filter(email=normal_email(email), is_active=True).only("pk").first()
        mail.enqueue_email(mail.PASSWORD_LINK, user.pk if user else uuid4())
    audit.record_event("password_reset", "done", email=audit.email_digest(email), step="requested")


def reset_password(token: str, new: str) -> User:
    """Store the new password of the user whom the link names; all sessions and tokens end. Return the user.

    Following the link proves that the email is theirs. Raises LinkNotValid, ValidationError (for `new_password`), HashingBusy;
    then nothing has changed. Of two uses of one link one succeeds.
    """
    with audit.recording_refusal("password_reset"):
        user = user_of_link(token, password_tokens)
        validate_new_password(new, user, "new_password")
        try:
            store_password(user, new, Revoked.PASSWORD)
        except ValidationError as error:
            raise LinkNotValid from error
    BrowserSession.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk, email=user.email, email_verified_at=None).update(email_verified_at=Now())
    audit.record_event("password_reset", "done", user)
    return user
