"""The JSON door to accounts."""

from dataclasses import asdict
from typing import Any, cast

from django.contrib.auth import update_session_auth_hash
from drf_spectacular.utils import extend_schema
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

KEEP_NOWHERE = {"Cache-Control": "no-store"}  # tokens stay out of caches (RFC 6749 §5.1)


def refusal_codes(*codes: str) -> dict[str, Any]:
    """Return what the schema's hook reads: the codes that a call may be refused with besides those of every call."""
    return {"x-refusals": codes}


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


@extend_schema(
    tags=["auth"],
    summary="Register",
    responses={201: NewPersonSerializer},
    extensions=refusal_codes("email_taken", "rate_limited"),
)
class RegisterView(PublicAuthView):
    serializer_class = RegistrationSerializer

    def post(self, request: Request) -> Response:
        """Become a user. At most 10 tries an hour from one address."""
        given = self.given(request)
        throttles.check_registration(request)
        return Response(NewPersonSerializer(registration.register_user(**given)).data, 201)


@extend_schema(
    tags=["auth"],
    summary="Sign in",
    responses={200: PairSerializer},
    extensions=refusal_codes("bad_credentials", "rate_limited"),
)
class TokenView(PublicAuthView):
    serializer_class = CredentialsSerializer

    def post(self, request: Request) -> Response:
        """Exchange email and password for a pair of tokens. At most 5 tries a minute from one address."""
        given = self.given(request)
        throttles.check_sign_in(request, given["email"])
        return Response(asdict(tokens.sign_in(**given)), headers=KEEP_NOWHERE)


@extend_schema(
    tags=["auth"],
    summary="Refresh the tokens",
    responses={200: PairSerializer},
    extensions=refusal_codes("token_not_valid", "token_reused"),
)
class RefreshView(PublicAuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair. It works once; coming with it again ends this sign-in everywhere."""
        pair = tokens.refresh_tokens(self.given(request)["refresh"])
        return Response(asdict(pair), headers=KEEP_NOWHERE)


@extend_schema(tags=["auth"], summary="Sign out", responses={204: None})
class LogoutView(AuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """End this sign-in: its refresh token and all its access tokens stop working at once."""
        tokens.end_sign_in(self.given(request)["refresh"], cast(User, request.user))
        return Response(status=204)


@extend_schema(tags=["auth"], summary="Who am I")
class MeView(RetrieveAPIView[User]):
    serializer_class = PersonSerializer

    def get_object(self) -> User:
        """The person that the token belongs to."""
        return cast(User, self.request.user)


@extend_schema(tags=["auth"], summary="Change the password", responses={204: None}, extensions=refusal_codes("rate_limited"))
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
