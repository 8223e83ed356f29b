"""Authentication of API requests by access token."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection
from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import AccessToken, Token
from rest_framework_simplejwt.utils import aware_utcnow

from accounts.models import TokenFamily, User
from accounts.tokens import FAMILY, TOKEN_ERRORS
from kernel.batching import Batcher
from kernel.connection_reservation import reserved_connections
from kernel.server_timeline import SERVER_TIMELINE
from kernel.sql import uuid_array

USER_COLUMNS = {field.attname: field.column for field in User._meta.concrete_fields}
SELECT_LIVE_FAMILIES = f"""\
SELECT family.id, family.auth_hash, {SERVER_TIMELINE}, {", ".join(f"account.{column}" for column in USER_COLUMNS.values())}
FROM accounts_tokenfamily AS family JOIN accounts_user AS account ON account.id = family.user_id
WHERE family.id = ANY(%s::uuid[]) AND family.revoked_at IS NULL AND family.expires_at > now()
"""  # noqa: S608  (made of our own columns)


@lru_cache(maxsize=4096)
def verify_access_token(raw_token: bytes) -> AccessToken:
    """Return the token if its signature is valid. The result is cached, so the expiry must be checked at each use."""
    return AccessToken(raw_token)  # type: ignore[arg-type]


def find_live_families(ids: Sequence[UUID]) -> list[TokenFamily | None]:
    """Return for each id the live family with its user, or None; equal ids get separate objects.

    A batch may hold requests that claim, so the query may take a reserved connection.
    """
    with reserved_connections(), connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(SELECT_LIVE_FAMILIES, [uuid_array(ids)])
        rows = {row[0]: row for row in cursor.fetchall()}
    return [build_family(*rows[family_id]) if family_id in rows else None for family_id in ids]


def build_family(pk: UUID, auth_hash: str, timeline: str | None, *user_values: Any) -> TokenFamily:
    """Return the family, with its user, from a row of SELECT_LIVE_FAMILIES."""
    user = User.from_db("default", USER_COLUMNS, user_values)
    user.server_timeline = timeline
    return TokenFamily(id=pk, auth_hash=auth_hash, user=user)


family_batcher: Batcher[UUID, TokenFamily | None] = Batcher(
    "token_families", find_live_families, lambda family_id: find_live_families([family_id])[0]
)


class TokenAuthentication(JWTAuthentication):
    """Reads the token's family and its user from the database once per request.

    Signing out, a password change, a demotion or a deactivation therefore takes effect at the next request.
    """

    def __init__(self) -> None:
        """Skip the parent's look-up of the user model: an instance is made for each request."""

    def get_raw_token(self, header: bytes) -> bytes | None:
        """Return the token of a header `Bearer <token>`, whose scheme may be in any case (RFC 9110 §11.1), else None."""
        is_bearer = header[:6].lower() == b"bearer"
        return super().get_raw_token(b"Bearer" + header[6:] if is_bearer else header)

    def get_validated_token(self, raw_token: bytes) -> Token:
        """Return the token if its signature is valid and it has not expired; raise InvalidToken."""
        try:
            token = verify_access_token(raw_token)
            token.check_exp(current_time=aware_utcnow())
        except TOKEN_ERRORS as error:
            raise InvalidToken from error
        return token

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]  # the parent allows any user model
        """Return the user of the token's live family; raise InvalidToken."""
        try:
            family = family_batcher.submit(UUID(validated_token.get(FAMILY)))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidToken from error
        if family is None or not family.is_valid_for(validated_token.get("sub")):
            raise InvalidToken
        return family.user


class BearerTokenScheme(SimpleJWTScheme):  # type: ignore[misc]
    """The OpenAPI security scheme of TokenAuthentication."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Any:
        """Return the bearer scheme with a description."""
        return {**super().get_security_definition(auto_schema), "description": "The access token of POST auth/token/."}
