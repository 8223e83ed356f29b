"""API sign-in: token pairs, single-use refresh tokens, revocation of token families.

SimpleJWT's rotation accepts parallel refreshes of one token, and a replay does not revoke later tokens. Here each refresh locks
the family's row, which decides.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit, throttles, two_factor
from accounts.devices import Client
from accounts.models import Revoked, TokenFamily, User
from accounts.password_forms import password_forms
from accounts.passwords import MAX_PASSWORD_LENGTH
from kernel.refusals import Unauthenticated

FAMILY = "fam"  # the claim that names a token's family
# Exceptions of parsing a token: too deep nesting, claims that are not numbers, or numbers that are not timestamps.
TOKEN_ERRORS = (TokenError, RecursionError, ArithmeticError, AttributeError, OSError, TypeError, ValueError)


class BadCredentials(Unauthenticated):
    code = "bad_credentials"
    meaning = _("The email is unknown, the password is wrong or the account is closed.")
    detail = _("That email and password don't match. Try again.")


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
    """A short-lived access token and a single-use refresh token."""

    access: str
    refresh: str


def sign_in(email: str, password: str, code: str = "", client: Client = Client(), device: str | None = None) -> TokenPair:  # noqa: B008  (immutable)
    """Return a new pair for the user with this email and password, and with two-step verification also this code.

    Raises BadCredentials (after the same work whether or not the email exists), RateLimited, HashingBusy, CodeRequired,
    CodeNotValid. Callers count the attempt first and name the `device` if it is known (accounts.clients).
    """
    user = verify_credentials(email, password, device)
    with audit.recording_refusal("sign_in", user, email=audit.email_digest(email)):
        two_factor.require_code(user, code)
        if user.lacks_two_factor:
            raise two_factor.NotSetUp
    pair = issue_pair(user, client)
    audit.record_event("sign_in", "done", user, email=audit.email_digest(email))
    return pair


def verify_credentials(email: str, password: str, device: str | None = None) -> User:
    """Return the active user with this email and password; raise BadCredentials, RateLimited or HashingBusy."""
    with audit.recording_refusal("sign_in", email=audit.email_digest(email)):
        # Each form is tried whether or not the email exists, so that the duration reveals nothing.
        forms = password_forms(password) if len(password) <= MAX_PASSWORD_LENGTH else []
        users = (authenticate(None, username=email, password=form) for form in forms)
        user = next((found for found in users if found is not None), None)
        if not isinstance(user, User):
            throttles.count_wrong_password(email, device)
            raise BadCredentials
    return user


def issue_pair(user: User, client: Client = Client()) -> TokenPair:  # noqa: B008  (immutable)
    """Create a token family for `user` and return its first pair."""
    family = TokenFamily(
        user=user, auth_hash=user.get_session_auth_hash(), user_agent=client.user_agent, address=client.address
    )
    token = issue_refresh_token(family)
    family.save(force_insert=True)
    return TokenPair(str(token.access_token), str(token))


def issue_refresh_token(family: TokenFamily) -> RefreshToken:
    """Return the family's next refresh token. Side effect: sets its digest and expiry on the family, which is not saved."""
    token = RefreshToken.for_user(family.user)
    token[FAMILY] = str(family.pk)
    family.refresh_hash = token_digest(token)
    family.expires_at = datetime.fromtimestamp(token["exp"], UTC)
    return token


def token_digest(token: RefreshToken) -> str:
    """Return the stored digest of a refresh token: the SHA-256 of its id."""
    return hashlib.sha256(str(token["jti"]).encode()).hexdigest()


def refresh_tokens(raw: str) -> TokenPair:
    """Exchange a refresh token for a new pair; of concurrent requests with one token exactly one succeeds.

    Raises TokenNotValid, and TokenReused if the token was exchanged before, which revokes its family.
    """
    token = parse_refresh_token(raw)
    with transaction.atomic(durable=True):
        family = lock_family(token)
        if family.refresh_hash == token_digest(token):
            return rotate_family(family, token)
        TokenFamily.objects.filter(pk=family.pk).revoke(Revoked.REPLAY)
    audit.record_event("token_refresh", "refused", family.user, code=TokenReused.code, family=str(family.pk))
    # Raised after the commit, because the refusal must not roll back the revocation.
    raise TokenReused


def rotate_family(family: TokenFamily, token: RefreshToken) -> TokenPair:
    """Return the next pair of the locked family; raise TokenNotValid if it was revoked. Its expiry was checked before."""
    if family.revoked_at is not None or not family.is_valid_for(token["sub"]):
        raise TokenNotValid
    successor = issue_refresh_token(family)
    family.last_used_at = timezone.now()
    family.save(update_fields=["refresh_hash", "expires_at", "last_used_at"])
    return TokenPair(str(successor.access_token), str(successor))


def parse_refresh_token(raw: str) -> RefreshToken:
    """Return the refresh token if its signature is valid and it has not expired; raise TokenNotValid."""
    try:
        token = RefreshToken(raw)  # type: ignore[arg-type]
        UUID(token.get(FAMILY))
    except TOKEN_ERRORS as error:
        raise TokenNotValid from error
    if "sub" not in token:
        raise TokenNotValid
    return token


def lock_family(token: RefreshToken) -> TokenFamily:
    """Return the token's family, locked; raise TokenNotValid if it was deleted."""
    families = TokenFamily.objects.select_related("user").select_for_update(no_key=True, of=("self",))
    family = families.filter(pk=token[FAMILY]).first()
    if family is None:
        raise TokenNotValid
    return family


def delete_expired_families() -> int:
    """Delete the families whose last token has expired, and return how many."""
    return TokenFamily.objects.filter(expires_at__lt=Now()).delete()[0]


def end_sign_in(raw: str, user: User) -> None:
    """Revoke the family of the refresh token, which must be the user's. Raises TokenNotValid."""
    token = parse_refresh_token(raw)
    if token["sub"] != str(user.pk):
        raise TokenNotValid
    TokenFamily.objects.filter(pk=token[FAMILY], user=user).revoke(Revoked.LOGOUT)
    audit.record_event("sign_out", "done", user)
