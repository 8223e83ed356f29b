"""Passwords: validation, change, and signing out everywhere else."""

from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, throttles
from accounts.models import Revoked, TokenFamily, User
from accounts.password_forms import normal_password, password_forms
from kernel.readable_text import unstable_character
from kernel.validation import Errors, collect_errors, raise_errors

MAX_PASSWORD_LENGTH = 128  # characters; a bound on the cost of hashing


class UsableCharactersValidator:
    """Refuses a new password with characters that other keyboards and programs may drop or change (RFC 8264 §4.3)."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError for such a character."""
        if unstable_character(password):
            raise ValidationError(_("Use only letters, numbers, symbols and spaces that can be seen."), code="unreadable")

    def get_help_text(self) -> str:
        """Return the rule."""
        return _("Use only letters, numbers, symbols and spaces that can be seen.")


def validate_new_password(password: str, user: User, field: str) -> None:
    """Raise ValidationError for `field` unless `user` may choose this password."""
    if len(password) > MAX_PASSWORD_LENGTH:
        raise ValidationError(
            {field: ValidationError(_("At most %(limit)s characters.") % {"limit": MAX_PASSWORD_LENGTH}, code="max_length")}
        )
    try:
        validate_password(normal_password(password), user)
    except ValidationError as error:
        raise ValidationError({field: error}) from error


def change_password(user: User, current: str, new: str, family: UUID | str | None = None) -> None:
    """Change the password of `user`; all earlier sessions and tokens become invalid, except the token family `family`.

    An interface with a session keeps that session by Django's `update_session_auth_hash`. Raises ValidationError (for
    `current_password` or `new_password`), RateLimited, HashingBusy; then nothing has changed. Callers count the attempt first.
    """
    with audit.recording_refusal("password_change", user):
        errors: Errors = {}
        collect_errors(errors, verify_current_password, user, current)
        collect_errors(errors, validate_new_password, new, user, "new_password")
        raise_errors(errors)
        store_password(user, new, Revoked.PASSWORD, [family] if family else [])
    audit.record_event("password_change", "done", user)


def revoke_other_sign_ins(user: User, current: str, family: UUID | str | None = None) -> None:
    """Invalidate all sessions and tokens of `user` without a new password. An interface keeps its session as above.

    Sessions hold a digest of the stored hash, so a hash with a new salt invalidates them. Raises ValidationError (for
    `current_password`), RateLimited, HashingBusy; then nothing has changed. Callers count the attempt first.
    """
    with audit.recording_refusal("sign_out", user, where="elsewhere"):
        verify_current_password(user, current)
        store_password(user, current, Revoked.LOGOUT, [family] if family else [])
    audit.record_event("sign_out", "done", user, where="elsewhere")


def verify_current_password(user: User, password: str) -> None:
    """Raise ValidationError unless this is the user's password, or RateLimited after too many wrong ones."""
    if len(password) > MAX_PASSWORD_LENGTH or not any(map(user.check_password, password_forms(password))):
        throttles.count_wrong_password(user.email)
        raise current_password_error()


def store_password(user: User, password: str, reason: Revoked, exempt: Sequence[UUID | str] = ()) -> None:
    """Store the password with a new salt and revoke the token families that are not `exempt`."""
    hashed = make_password(normal_password(password))
    with transaction.atomic():
        # Conditional on the checked hash: of two concurrent changes one wins, and no lock is held while hashing.
        # A change of email that waits for its link may have been requested by the attacker who is signed out now.
        checked = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
        if not checked.update(password=hashed, pending_email=""):
            raise current_password_error()
        user.password, user.pending_email = hashed, ""
        families = TokenFamily.objects.filter(user=user)
        families.exclude(pk__in=exempt).revoke(reason)
        families.filter(pk__in=exempt).update(auth_hash=user.get_session_auth_hash())


def current_password_error() -> ValidationError:
    """Return the error for a wrong current password."""
    return ValidationError({"current_password": ValidationError(_("That's not your current password."), code="wrong_password")})
