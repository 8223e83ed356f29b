"""API of the signed-in user: sign-ins, email, and closing the account."""

from typing import Any, cast

from django.contrib.auth import update_session_auth_hash
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import closing, email_change, email_verification, passwords, sign_ins, throttles, tokens, two_factor
from accounts.api import AuthView
from accounts.models import TokenFamily, User
from accounts.registration import EmailTaken
from accounts.serializers import (
    CloseSerializer,
    ConfirmedSerializer,
    EmailChangeSerializer,
    SignInSerializer,
)
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from kernel.strict_serializers import StrictSerializer


def token_family(request: Request) -> str | None:
    """Return the token family of a request by token, None of one by session."""
    token = cast(Any, request.auth)
    return str(token[tokens.FAMILY]) if token else None


def session_key(request: Request) -> str | None:
    """Return the key of the session of a request by session, None of one by token."""
    return None if request.auth else cast(Any, request).session.session_key


class SignInsView(AuthView):
    serializer_class: Any = SignInSerializer
    queryset: Any = TokenFamily.objects.none()  # for the browsable page
    pagination_class = None

    @operation("List the caller's sign-ins", tags=["me"], responses=SignInSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Return the browsers and apps that are signed in, this one first: at most 100 of each."""
        found = sign_ins.list_sign_ins(cast(User, request.user), session_key(request), token_family(request))
        return Response(self.get_serializer(found, many=True).data)


class SignInView(AuthView):
    serializer_class = StrictSerializer

    @operation("End one sign-in", sign_ins.SignInNotFound, tags=["me"], responses={204: None})
    def delete(self, request: Request, pk: Any) -> Response:
        """Sign this browser or app out. It is refused at its next request."""
        sign_ins.end_one_sign_in(cast(User, request.user), pk)
        return Response(status=204)


class EndOtherSignInsView(AuthView):
    serializer_class = ConfirmedSerializer

    @operation("End all other sign-ins", RateLimited, tags=["me"], responses={204: None})
    def post(self, request: Request) -> Response:
        """Sign out everywhere else. This sign-in stays."""
        body, user, family = self.validated_body(request), cast(User, request.user), token_family(request)
        throttles.check_password_change(request, user)
        passwords.revoke_other_sign_ins(user, body["current_password"], family)
        if family is None:
            update_session_auth_hash(request, user)  # keeps the session that sent the request
        return Response(status=204)


class EmailView(AuthView):
    serializer_class = EmailChangeSerializer

    @operation("Change the email", EmailTaken, RateLimited, tags=["me"], responses={202: None})
    def post(self, request: Request) -> Response:
        """Send a link to the new email. The change takes effect when the link is followed."""
        body, user = self.validated_body(request), cast(User, request.user)
        throttles.check_password_change(request, user)
        throttles.check_link_request(request, body["email"])
        email_change.request_email_change(user, body["current_password"], body["email"])
        return Response(status=202)


class ResendEmailLinkView(AuthView):
    serializer_class = StrictSerializer

    @operation(
        "Send the email link again", email_verification.EmailAlreadyVerified, RateLimited, tags=["me"], responses={202: None}
    )
    def post(self, request: Request) -> Response:
        """Send the link that verifies the email, or the new email, again."""
        self.validated_body(request)
        user = cast(User, request.user)
        throttles.check_link_request(request, user.pending_email or user.email)
        email_verification.send_link_again(user)
        return Response(status=202)


class CloseView(AuthView):
    serializer_class = CloseSerializer

    @operation(
        "Close the account",
        *(closing.LastAdmin, two_factor.CodeRequired, two_factor.CodeNotValid, RateLimited),
        tags=["me"],
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        """Close the caller's account for good. Claims stay in the ledger under a pseudonym; the email is free again."""
        body, user = self.validated_body(request), cast(User, request.user)
        throttles.check_password_change(request, user)
        closing.close_account(user, **body)
        return Response(status=204)
