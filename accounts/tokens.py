"""Signing in through the API: pairs of tokens, each refresh good once, a whole family ended at once.

SimpleJWT's rotation lets several parallel refreshes of one token through and a replay leaves its successors alive; so
the family's row, locked at each refresh, decides.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit, throttles
from accounts.models import Revoked, TokenFamily, User
from accounts.passwords import MAX_PASSWORD_LENGTH
from kernel.refusals import Unauthenticated

FAMILY = "fam"  # the claim that names a token's family
# What reading a token raises: it may be nested too deeply, and its claims may be no numbers, or numbers that are no instants.
UNREADABLE = (TokenError, RecursionError, ArithmeticError, AttributeError, OSError, TypeError, ValueError)


class BadCredentials(Unauthenticated):
    code = "bad_credentials"
    meaning = _("The email is unknown, the password is wrong or the account is closed.")
    detail = _("Email or password is not right. Check both and try again.")


class TokenNotValid(Unauthenticated):
    code = "token_not_valid"
    meaning = _("The refresh token is malformed, expired or revoked.")
    detail = _("This token is not valid or has expired. Sign in again.")


class TokenReused(Unauthenticated):
    code = "token_reused"
    meaning = _("The refresh token was used before. Someone else may have it, so the session was revoked.")
    detail = _("This refresh token was used before, so the session was revoked. Sign in again.")


@dataclass(frozen=True)
class TokenPair:
    """What a caller keeps: an access token for minutes, and a refresh token to be used once."""

    access: str
    refresh: str


def sign_in(email: str, password: str) -> TokenPair:
    """Return a new pair for the person with this email and password.

    Raises BadCredentials, after the same work whether or not the email is known, RateLimited and HashingBusy. Count the
    try before calling.
    """
    user = verify_credentials(email, password)
    pair = issue_pair(user)
    audit.record_event("sign_in", "done", user, email=audit.email_digest(email))
    return pair


def verify_credentials(email: str, password: str) -> User:
    """Return the active user with this email and password; raise BadCredentials, RateLimited or HashingBusy."""
    with audit.recording_refusal("sign_in", email=audit.email_digest(email)):
        user = authenticate(None, username=email, password=password) if len(password) <= MAX_PASSWORD_LENGTH else None
        if not isinstance(user, User):
            throttles.count_wrong_password(email)
            raise BadCredentials
    return user


def issue_pair(user: User) -> TokenPair:
    """Start a family for `user` and return its first pair."""
    family = TokenFamily(user=user, auth_hash=user.get_session_auth_hash())
    token = issue_refresh_token(family)
    family.save(force_insert=True)
    return TokenPair(str(token.access_token), str(token))


def issue_refresh_token(family: TokenFamily) -> RefreshToken:
    """Make the refresh token that is good from now on and note its digest and end on the (unsaved) family."""
    token = RefreshToken.for_user(family.user)
    token[FAMILY] = str(family.pk)
    family.refresh_hash = token_digest(token)
    family.expires_at = datetime.fromtimestamp(token["exp"], UTC)
    return token


def token_digest(token: RefreshToken) -> str:
    """Return what is stored of a refresh token: the SHA-256 of its id."""
    return hashlib.sha256(str(token["jti"]).encode()).hexdigest()


def refresh_tokens(raw: str) -> TokenPair:
    """Exchange a refresh token for a new pair; of any number of parallel tries one gets it.

    Raises TokenNotValid, and TokenReused when the token was exchanged before, which ends its family.
    """
    token = parse_refresh_token(raw)
    with transaction.atomic(durable=True):
        family = lock_family(token)
        if family.refresh_hash == token_digest(token):
            return rotate_family(family, token)
        TokenFamily.objects.filter(pk=family.pk).revoke(Revoked.REPLAY)
    audit.record_event("token_refresh", "refused", family.user, code=TokenReused.code, family=str(family.pk))
    # Raised after the commit: the refusal must not undo the end of the family.
    raise TokenReused


def rotate_family(family: TokenFamily, token: RefreshToken) -> TokenPair:
    """Give the locked family its next refresh token, unless it has ended (its time is its token's, checked before)."""
    if family.revoked_at is not None or not family.admits(token["sub"]):
        raise TokenNotValid
    successor = issue_refresh_token(family)
    family.save(update_fields=["refresh_hash", "expires_at"])
    return TokenPair(str(successor.access_token), str(successor))


def parse_refresh_token(raw: str) -> RefreshToken:
    """Return the refresh token if we signed it and it has not expired; raise TokenNotValid."""
    try:
        token = RefreshToken(raw)  # type: ignore[arg-type]
        UUID(token.get(FAMILY))
    except UNREADABLE as error:
        raise TokenNotValid from error
    if "sub" not in token:
        raise TokenNotValid
    return token


def lock_family(token: RefreshToken) -> TokenFamily:
    """Return the token's family, locked for this transaction; raise TokenNotValid when it is gone."""
    families = TokenFamily.objects.select_related("user").select_for_update(no_key=True, of=("self",))
    family = families.filter(pk=token[FAMILY]).first()
    if family is None:
        raise TokenNotValid
    return family


def delete_expired_families() -> int:
    """Delete the families whose last token has ended, and return how many."""
    return TokenFamily.objects.filter(expires_at__lt=Now()).delete()[0]


def end_sign_in(raw: str, user: User) -> None:
    """End the family of the refresh token, which must be the user's own. Raises TokenNotValid."""
    token = parse_refresh_token(raw)
    if token["sub"] != str(user.pk):
        raise TokenNotValid
    TokenFamily.objects.filter(pk=token[FAMILY], user=user).revoke(Revoked.LOGOUT)
    audit.record_event("sign_out", "done", user)
