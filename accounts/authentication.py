"""Who sends this request, told by its access token."""

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
from accounts.tokens import FAMILY, UNREADABLE
from kernel.batching import Batcher
from kernel.connection_reservation import reserved_connections
from kernel.sql import uuid_array

USER_COLUMNS = {field.attname: field.column for field in User._meta.concrete_fields}
SELECT_LIVE_FAMILIES = f"""\
SELECT family.id, family.auth_hash, {", ".join(f"person.{column}" for column in USER_COLUMNS.values())}
FROM accounts_tokenfamily AS family JOIN accounts_user AS person ON person.id = family.user_id
WHERE family.id = ANY(%s::uuid[]) AND family.revoked_at IS NULL AND family.expires_at > now()
"""  # noqa: S608  (made of our own columns)


@lru_cache(maxsize=4096)
def verify_access_token(raw_token: bytes) -> AccessToken:
    """Return the token if we signed it: what is signed once is signed for ever. Its end is looked at each time it is used."""
    return AccessToken(raw_token)  # type: ignore[arg-type]


def find_live_families(ids: Sequence[UUID]) -> list[TokenFamily | None]:
    """Return the living family with each id, and its user, or None; two who ask for the same get objects of their own.

    Who claims may wait for this call, whoever leads it: it may take a reserved connection.
    """
    with reserved_connections(), connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(SELECT_LIVE_FAMILIES, [uuid_array(ids)])
        rows = {row[0]: row for row in cursor.fetchall()}
    return [build_family(*rows[each]) if each in rows else None for each in ids]


def build_family(pk: UUID, auth_hash: str, *person: Any) -> TokenFamily:
    """Return the family that a row tells of, with its user."""
    return TokenFamily(id=pk, auth_hash=auth_hash, user=User.from_db("default", USER_COLUMNS, person))


family_batcher: Batcher[UUID, TokenFamily | None] = Batcher(
    "token_families", find_live_families, lambda family_id: find_live_families([family_id])[0]
)


class TokenAuthentication(JWTAuthentication):
    """Asks the database, once per request, whether the token's family lives and who its user is now.

    So signing out, a password change, a demotion and a deactivation act on the very next request.
    """

    def __init__(self) -> None:
        """Keep nothing: one is made for each request, and ours asks for no model of users."""

    def get_validated_token(self, raw_token: bytes) -> Token:
        """Return the token if we signed it and it has not expired; raise InvalidToken."""
        try:
            token = verify_access_token(raw_token)
            token.check_exp(current_time=aware_utcnow())
        except UNREADABLE as error:
            raise InvalidToken from error
        return token

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]  # it may be any model there
        """Return the user of the token's living family; raise InvalidToken."""
        try:
            found = family_batcher.submit(UUID(validated_token.get(FAMILY)))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidToken from error
        if found is None or not found.admits(validated_token.get("sub")):
            raise InvalidToken
        return found.user


class BearerTokenScheme(SimpleJWTScheme):  # type: ignore[misc]
    """Tells the OpenAPI schema that this is the bearer token it knows."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Any:
        """Return the scheme of an access token in the Authorization header."""
        return {**super().get_security_definition(auto_schema), "description": "The access token of POST auth/token/."}
