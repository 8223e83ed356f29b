"""API of accounts: registration, tokens, the current user and password changes."""

from dataclasses import asdict
from typing import Any, cast

from django.contrib.auth import update_session_auth_hash
from rest_framework.generics import GenericAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import clients, email_verification, password_reset, passwords, registration, throttles, tokens, two_factor
from accounts.email_links import LinkNotValid
from accounts.invitations import invitation_of
from accounts.models import User
from accounts.refused_services import RefusedServices
from accounts.serializers import (
    CredentialsSerializer,
    ForgottenPasswordSerializer,
    LinkSerializer,
    NewUserSerializer,
    PasswordChangeSerializer,
    PasswordResetSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.strict_views import StrictView

NO_STORE = {"Cache-Control": "no-store"}  # no cache may store tokens (RFC 6749 §5.1)


class AuthView(StrictView, RefusedServices, GenericAPIView[User]):
    """Base of the views: validates one body and calls one action."""

    def validated_body(self, request: Request) -> dict[str, Any]:
        """Return the validated body; raise ValidationError."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return cast(dict[str, Any], serializer.validated_data)


class PublicAuthView(AuthView):
    """A view without authentication. A token in the request is ignored."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


@operation("Register", registration.EmailTaken, RateLimited, tags=["auth"], responses={201: NewUserSerializer})
class RegisterView(PublicAuthView):
    serializer_class = RegistrationSerializer

    def post(self, request: Request) -> Response:
        """Create an account. Limited to 10 attempts per hour and address.

        `referral_code` records who invited the user, which never changes. An unknown code is refused.
        """
        body = self.validated_body(request)
        throttles.check_registration(request)
        invitation = invitation_of(request, body.pop("referral_code", ""))
        return Response(NewUserSerializer(registration.register_user(**body, invitation=invitation)).data, 201)


@operation(
    "Sign in",
    *(tokens.BadCredentials, two_factor.CodeRequired, two_factor.CodeNotValid, two_factor.NotSetUp, RateLimited),
    tags=["auth"],
    responses={200: TokenPairSerializer},
)
class TokenView(PublicAuthView):
    serializer_class = CredentialsSerializer

    def post(self, request: Request) -> Response:
        """Exchange email and password for a pair of tokens. Limited to 5 attempts per minute and address.

        The response's header `Device-Token` names this device: sent at the next sign-in, it has a limit of its own, so that
        wrong guesses by others at the same address do not keep its owner out.
        """
        body = self.validated_body(request)
        throttles.check_sign_in(request, body["email"])
        device = clients.known_device(request, body["email"])
        pair = tokens.sign_in(**body, client=clients.client_of(request), device=device)
        return Response(asdict(pair), headers=NO_STORE | {clients.HEADER: clients.issue_device_token(body["email"])})


@operation("Refresh the tokens", tokens.TokenNotValid, tokens.TokenReused, tags=["auth"], responses={200: TokenPairSerializer})
class RefreshView(PublicAuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair. It can be used once; reusing it revokes the session."""
        pair = tokens.refresh_tokens(self.validated_body(request)["refresh"])
        return Response(asdict(pair), headers=NO_STORE)


@operation("Sign out", tags=["auth"], responses={204: None})
class LogoutView(AuthView):
    serializer_class = RefreshSerializer

    def post(self, request: Request) -> Response:
        """Revoke this session: its refresh token and all its access tokens stop working immediately."""
        tokens.end_sign_in(self.validated_body(request)["refresh"], cast(User, request.user))
        return Response(status=204)


@operation("Show the signed-in user", tags=["auth"])
class MeView(StrictView, RefusedServices, RetrieveAPIView[User]):
    serializer_class = UserSerializer

    def get_object(self) -> User:
        """Return the signed-in user."""
        return cast(User, self.request.user)


@operation("Change the password", RateLimited, tags=["auth"], responses={204: None})
class PasswordView(AuthView):
    serializer_class = PasswordChangeSerializer

    def post(self, request: Request) -> Response:
        """Change the password. All other sessions, in browsers and apps, are revoked; this one stays."""
        body = self.validated_body(request)
        user, token = cast(User, request.user), cast(Any, request.auth)
        throttles.check_password_change(request, user)
        family = token[tokens.FAMILY] if token else None
        passwords.change_password(user, body["current_password"], body["new_password"], family)
        if family is None:
            update_session_auth_hash(request, user)  # keeps the browser's session that sent the request
        return Response(status=204)


@operation("Ask for a link for a new password", RateLimited, tags=["auth"], responses={202: None})
class ForgottenPasswordView(PublicAuthView):
    serializer_class = ForgottenPasswordSerializer

    def post(self, request: Request) -> Response:
        """Send a link to this email if it has an account. The response is the same if it has none."""
        email = self.validated_body(request)["email"]
        throttles.check_link_request(request, email)
        password_reset.request_password_link(email)
        return Response(status=202)


@operation("Choose a new password by link", LinkNotValid, tags=["auth"], responses={204: None})
class PasswordResetView(PublicAuthView):
    serializer_class = PasswordResetSerializer

    def post(self, request: Request) -> Response:
        """Store the new password. All sessions and tokens end. `token` is the last part of the link in the email."""
        body = self.validated_body(request)
        password_reset.reset_password(body["token"], body["new_password"])
        return Response(status=204)


@operation("Verify an email by link", LinkNotValid, registration.EmailTaken, tags=["auth"], responses={204: None})
class EmailVerifyView(PublicAuthView):
    serializer_class = LinkSerializer

    def post(self, request: Request) -> Response:
        """Verify the email, or put the new email into effect. `token` is the last part of the link in the email."""
        email_verification.verify_email(self.validated_body(request)["token"])
        return Response(status=204)
