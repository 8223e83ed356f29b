"""Signed links that are sent by email: for a new password, and to verify an email.

A link works once and for a short time (settings.PASSWORD_RESET_TIMEOUT): its signature covers the password, the email and what
the link changes. Its host is settings.PUBLIC_URL, never the Host header of a request, which its sender chooses.
"""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.urls import reverse
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import BadRequest, Conflict


class LinkNotValid(BadRequest):
    code = "link_not_valid"
    meaning = _("The link from an email was used, has expired or was replaced by a newer one.")
    detail = _("This link has expired or was already used. Ask for a new one.")


class EmailNotVerified(Conflict):
    code = "email_not_verified"
    meaning = _("This installation lets users claim only after they have verified their email.")
    detail = _("Verify your email first: open the link we sent you, or ask for a new one on your account page.")


class EmailTokenGenerator(PasswordResetTokenGenerator):
    """Signs the verification of an email; the signature ends with the verification and with a change of email or password."""

    key_salt = "accounts.email_links.EmailTokenGenerator"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        verified = user.email_verified_at and user.email_verified_at.isoformat()
        return f"{user.pk} {user.password} {user.email} {user.pending_email} {verified} {timestamp}"


password_tokens = PasswordResetTokenGenerator()
email_tokens = EmailTokenGenerator()


def make_link(page: str, user: User, tokens: PasswordResetTokenGenerator) -> str:
    """Return the address of a page with a token for `user`."""
    return f"{settings.PUBLIC_URL}{reverse(page, args=[make_link_token(user, tokens)])}"


def make_link_token(user: User, tokens: PasswordResetTokenGenerator) -> str:
    """Return the token of a link: the user's id and the signature."""
    return f"{user.pk.hex}-{tokens.make_token(user)}"


def user_of_link(token: str, tokens: PasswordResetTokenGenerator) -> User:
    """Return the active user whom the token names; raise LinkNotValid."""
    user_id, _dash, signature = token.partition("-")
    try:
        user = User.objects.filter(pk=UUID(hex=user_id), is_active=True).first()
    except ValueError as error:
        raise LinkNotValid from error
    if user is None or not tokens.check_token(user, signature):
        raise LinkNotValid
    return user
