"""Registration of users."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from psycopg.errors import UniqueViolation

from accounts import audit, mail
from accounts.email_addresses import normal_email
from accounts.models import User
from accounts.passwords import validate_new_password
from kernel.refusals import Conflict


class EmailTaken(Conflict):
    code = "email_taken"
    meaning = gettext_noop("An account with this email exists.")
    detail = gettext_noop("This email already has an account. Sign in instead.")


def register_user(email: str, password: str) -> User:
    """Insert a USER and return it. The unique constraint decides between concurrent registrations.

    Raises ValidationError (for `email` or `password`), EmailTaken, HashingBusy. Callers count the attempt first.
    """
    with audit.recording_refusal("register", email=audit.email_digest(email)):
        user = User(email=normal_email(email))
        user.clean_fields(exclude=["password"])
        validate_new_password(password, user, "password")
        user.set_password(password)  # outside the transaction, which would hold a connection meanwhile
        with email_uniqueness():
            user.save(force_insert=True)
            mail.enqueue_email(mail.EMAIL_LINK, user.pk)
    audit.record_event("register", "done", user, email=audit.email_digest(email))
    return user


@contextmanager
def email_uniqueness() -> Iterator[None]:
    """Run a block that writes one email; raise its constraint violation as EmailTaken or ValidationError for `email`."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            raise EmailTaken from error
        # PostgreSQL's lower() changes more letters than Python's.
        raise ValidationError(
            {"email": ValidationError(_("Use only standard letters, numbers and symbols in the email."), code="invalid")}
        ) from error
