"""Registration of users."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop
from psycopg.errors import UniqueViolation

from accounts import audit, mail
from accounts.constraint_words import WORDS
from accounts.email_addresses import normal_email
from accounts.invitations import Invitation, set_invitation
from accounts.models import User
from accounts.passwords import validate_new_password
from kernel.constraint_words import violations_in_words
from kernel.refusals import Conflict
from kernel.validation import Errors, collect_errors, raise_errors


class EmailTaken(Conflict):
    code = "email_taken"
    meaning = gettext_noop("An account with this email exists.")
    detail = gettext_noop("This email already has an account. Sign in instead.")


def register_user(email: str, password: str, invitation: Invitation | None = None) -> User:
    """Insert a USER and return it. The unique constraint decides between concurrent registrations.

    Raises ValidationError (for `email`, `password` or `referral_code`), EmailTaken, HashingBusy. Callers count the attempt
    first.
    """
    with audit.recording_refusal("register", email=audit.email_digest(email)):
        user = User(email=normal_email(email))
        check_registration(user, password)
        user.set_password(password)  # outside the transaction, which would hold a connection meanwhile
        with email_uniqueness():
            set_invitation(invitation)
            user.save(force_insert=True)
            mail.enqueue_email(mail.EMAIL_LINK, user.pk)
    audit.record_event("register", "done", user, email=audit.email_digest(email))
    return user


def check_registration(user: User, password: str) -> None:
    """Raise ValidationError with the errors of both the email and the password."""
    errors: Errors = {}
    collect_errors(errors, user.clean_fields, ["password"])
    collect_errors(errors, validate_new_password, password, user, "password")
    raise_errors(errors)


@contextmanager
def email_uniqueness() -> Iterator[None]:
    """Run a block that writes one email; raise its constraint violation as EmailTaken or ValidationError for `email`."""
    try:
        with violations_in_words(WORDS), transaction.atomic():
            yield
    except ValidationError as error:
        if isinstance(error.__cause__, IntegrityError) and isinstance(error.__cause__.__cause__, UniqueViolation):
            raise EmailTaken from error
        raise
