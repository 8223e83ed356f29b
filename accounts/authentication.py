"""Who sends this request, told by its access token."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts.models import TokenFamily, User
from accounts.together import Together
from accounts.tokens import FAMILY


def living(ids: Sequence[UUID]) -> list[TokenFamily | None]:
    """Return the living family with each id, and its user, or None."""
    families = TokenFamily.objects.alive().select_related("user").in_bulk(ids)
    return [families.get(each) for each in ids]


families = Together(living, alone=lambda each: living([each])[0])


class TokenAuthentication(JWTAuthentication):
    """Asks the database, once per request, whether the token's family lives and who its user is now.

    So signing out, a password change, a demotion and a deactivation act on the very next request.
    """

    def get_validated_token(self, raw_token: bytes) -> Token:
        """Return the token if we signed it and it has not expired; raise InvalidToken."""
        try:
            return super().get_validated_token(raw_token)
        except RecursionError as error:  # nested too deeply to be read
            raise InvalidToken from error

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]  # it may be any model there
        """Return the user of the token's living family; raise InvalidToken."""
        try:
            family = families.ask(UUID(validated_token.get(FAMILY)))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidToken from error
        if family is None or not family.admits(validated_token.get("sub")):
            raise InvalidToken
        return family.user


class TokenScheme(SimpleJWTScheme):  # type: ignore[misc]
    """Tells the OpenAPI schema that this is the bearer token it knows."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Any:
        """Return the scheme of an access token in the Authorization header."""
        return {**super().get_security_definition(auto_schema), "description": "The access token of POST auth/token/."}
