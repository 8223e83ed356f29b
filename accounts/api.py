"""The JSON door to accounts."""

from dataclasses import asdict
from typing import Any, cast

from django.contrib.auth import update_session_auth_hash
from rest_framework.generics import GenericAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import passwords, registration, throttles, tokens
from accounts.models import User
from accounts.serializers import (
    CredentialsSerializer,
    NewPersonSerializer,
    PairSerializer,
    PasswordChangeSerializer,
    PersonSerializer,
    RefreshSerializer,
    RegistrationSerializer,
)
from kernel.openapi import operation
from kernel.rate_limits import RateLimited

KEEP_NOWHERE = {"Cache-Control": "no-store"}  # tokens stay out of caches (RFC 6749 §5.1)


class AuthView(GenericAPIView[User]):
    """Reads one body and hands it to one act."""

    def given(self, request: Request) -> dict[str, Any]:
        """Return the validated body; raise ValidationError."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return cast(dict[str, Any], serializer.validated_data)


class PublicAuthView(AuthView):
    """For people without a token yet; whatever they send along as one is not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


@operation("Register", registration.EmailTaken, RateLimited, tags=["auth"], responses={201: NewPersonSerializer})
class RegisterView(PublicAuthView):
    serializer_class = RegistrationSerializer

    def post(self, request: Request) -> Response:
        """Become a user. At most 10 tries an hour from one address."""
        given = self.given(request)
        throttles.check_registration(request)
        return Response(NewPersonSerializer(registration.register_user(**given)).data, 201)


@operation("Sign in", tokens.BadCredentials, RateLimited, tags=["auth"], responses={200: PairSerializer})
class TokenView(PublicAuthView):
    serializer_class = CredentialsSerializer

    def post(self, request: Request) -> Response:
        """Exchange email and password for a pair of tokens. At most 5 tries a minute from one address."""
        given = self.given(request)
        throttles.check_sign_in(request, given["email"])
        return Response(asdict(tokens.sign_in(**given)), headers=KEEP_NOWHERE)


@operation("Refresh the tokens", tokens.TokenNotValid, tokens.TokenReused, tags=["auth"], responses={200: PairSerializer})
class RefreshView(PublicAuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair. It works once; coming with it again ends this sign-in everywhere."""
        pair = tokens.refresh_tokens(self.given(request)["refresh"])
        return Response(asdict(pair), headers=KEEP_NOWHERE)


@operation("Sign out", tags=["auth"], responses={204: None})
class LogoutView(AuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """End this sign-in: its refresh token and all its access tokens stop working at once."""
        tokens.end_sign_in(self.given(request)["refresh"], cast(User, request.user))
        return Response(status=204)


@operation("Show the signed-in user", tags=["auth"])
class MeView(RetrieveAPIView[User]):
    serializer_class = PersonSerializer

    def get_object(self) -> User:
        """The person that the token belongs to."""
        return cast(User, self.request.user)


@operation("Change the password", RateLimited, tags=["auth"], responses={204: None})
class PasswordView(AuthView):
    serializer_class = PasswordChangeSerializer

    def post(self, request: Request) -> Response:
        """Change the password. Every other sign-in ends, in browsers and apps alike; this one goes on."""
        given = self.given(request)
        user, token = cast(User, request.user), cast(Any, request.auth)
        throttles.check_password_change(request, user)
        family = token[tokens.FAMILY] if token else None
        passwords.change_password(user, given["current_password"], given["new_password"], family)
        if family is None:
            update_session_auth_hash(request, user)  # who came by a browser's session keeps it
        return Response(status=204)
