"""Choosing and changing a password."""

from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, throttles
from accounts.models import Revoked, TokenFamily, User

# Characters. Hashing costs time on purpose, so what is hashed has an end.
MAX_PASSWORD_LENGTH = 128


def validate_new_password(password: str, user: User, field: str) -> None:
    """Raise ValidationError, under the name `field`, unless `user` may choose this password."""
    if len(password) > MAX_PASSWORD_LENGTH:
        raise ValidationError(
            {field: ValidationError(_("At most %(limit)s characters.") % {"limit": MAX_PASSWORD_LENGTH}, code="max_length")}
        )
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({field: error}) from error


def change_password(user: User, current: str, new: str, family: UUID | str | None = None) -> None:
    """Give `user` a new password; every session and token made before ends, except `family`, which goes on.

    A door that serves a session keeps that one by Django's `update_session_auth_hash`. Raises ValidationError, naming
    `current_password` or `new_password`, RateLimited and HashingBusy; then nothing changed. Count the try before calling.
    """
    with audit.recording_refusal("password_change", user):
        verify_current_password(user, current)
        validate_new_password(new, user, "new_password")
        store_password(user, new, Revoked.PASSWORD, [family] if family else [])
    audit.record_event("password_change", "done", user)


def revoke_other_sign_ins(user: User, current: str) -> None:
    """End every session and token of `user`, whose password stays what it is. A door keeps its own session as above.

    Sessions hold a digest of the stored password; stored again under a new salt, it matches none of them. Raises
    ValidationError, naming `current_password`, RateLimited and HashingBusy; then nothing changed. Count the try before
    calling.
    """
    with audit.recording_refusal("sign_out", user, where="elsewhere"):
        verify_current_password(user, current)
        store_password(user, current, Revoked.LOGOUT)
    audit.record_event("sign_out", "done", user, where="elsewhere")


def verify_current_password(user: User, password: str) -> None:
    """Raise ValidationError unless this is the user's password; RateLimited when it was guessed wrong too often."""
    if len(password) > MAX_PASSWORD_LENGTH or not user.check_password(password):
        throttles.count_wrong_password(user.email)
        raise current_password_error()


def store_password(user: User, password: str, reason: Revoked, kept: Sequence[UUID | str] = ()) -> None:
    """Write the password under a new salt and end the families of tokens that are not `kept`."""
    hashed = make_password(password)
    with transaction.atomic():
        # Only over the password that was checked: of two changes at once one wins, and nothing is locked while hashing.
        if not User.objects.filter(pk=user.pk, password=user.password, is_active=True).update(password=hashed):
            raise current_password_error()
        user.password = hashed
        families = TokenFamily.objects.filter(user=user)
        families.exclude(pk__in=kept).revoke(reason)
        families.filter(pk__in=kept).update(auth_hash=user.get_session_auth_hash())


def current_password_error() -> ValidationError:
    """Return what is said to who does not know the present password."""
    return ValidationError({"current_password": ValidationError(_("That's not your current password."), code="wrong_password")})
