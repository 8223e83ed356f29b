"""/me/notices/: which emails the caller gets."""

from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import AuthView
from accounts.languages import LANGUAGES, language_of
from accounts.models import User
from kernel.openapi import operation
from kernel.strict_serializers import StrictSerializer
from wallet.actions.notice_preferences import change_notice_preferences
from wallet.api.fields import ChoiceField
from wallet.notices.models import NoticeKind
from wallet.queries.notices import notice_preferences


class NoticePreferencesSerializer(serializers.Serializer[Any]):
    """Which emails the caller gets, in which language."""

    ending_soon = serializers.BooleanField(help_text="7 days and 1 day before credit ends, at most one email a day.")
    granted = serializers.BooleanField(help_text="When the caller is given a credit.")
    refunded = serializers.BooleanField(help_text="When a refund arrives.")
    language = ChoiceField(LANGUAGES, help_text="Language of emails.")


class NoticePreferencesChangeSerializer(StrictSerializer, NoticePreferencesSerializer):
    """The preferences to change; the others stay."""


class NoticePreferencesView(AuthView):
    serializer_class: Any = NoticePreferencesChangeSerializer
    pagination_class = None

    @operation("Show the caller's emails", tags=["me"], responses=NoticePreferencesSerializer)
    def get(self, request: Request) -> Response:
        """Return which emails the caller gets. None is sent before the email is verified."""
        return self.respond(cast(User, request.user))

    @operation("Choose the caller's emails", tags=["me"], responses=NoticePreferencesSerializer)
    def patch(self, request: Request) -> Response:
        """Turn kinds of emails on or off, or change their language. What is left out stays as it is."""
        serializer, user = self.get_serializer(data=request.data, partial=True), cast(User, request.user)
        serializer.is_valid(raise_exception=True)
        body = serializer.validated_data
        change_notice_preferences(user, {kind: body[kind] for kind in NoticeKind if kind in body}, body.get("language"))
        return self.respond(user)

    def respond(self, user: User) -> Response:
        """Return the user's preferences."""
        preferences: dict[str, str | bool] = {**notice_preferences(user), "language": language_of(user)}
        return Response(NoticePreferencesSerializer(preferences).data)
