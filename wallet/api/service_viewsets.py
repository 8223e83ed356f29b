"""The base of viewsets that services may call with their keys, beside users and operators."""

from typing import Any

from django.utils.translation import gettext_noop as _
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from accounts.authentication import TokenAuthentication
from accounts.models import User
from accounts.permissions import IsAdmin, service_with
from accounts.service_authentication import ServiceCaller, ServiceKeyAuthentication
from accounts.services import Scope, Service
from kernel.refusals import NotFound
from wallet.actions.payment_answers import Answer
from wallet.api.idempotency import REPLAYED
from wallet.api.named_users import find_named_user, require_own_name
from wallet.api.viewsets import BaseViewSet


class ServiceNotFound(NotFound):
    code = "not_found"
    meaning = _("No active service has the id that the request names.")
    detail = _("Service not found. Check its id.")


def user_or_service(scope: Scope) -> Any:
    """Return the permission of signed-in users, and of services whose key has the scope."""
    return service_with(scope) | IsAuthenticated


def admin_or_service(scope: Scope) -> Any:
    """Return the permission of operators, and of services whose key has the scope."""
    return service_with(scope) | IsAdmin


class ServiceViewSet(BaseViewSet):
    """A viewset for services, users and operators. Whatever a service does, it does for the user that the request names."""

    authentication_classes = (TokenAuthentication, ServiceKeyAuthentication, SessionAuthentication)

    @property
    def service_caller(self) -> ServiceCaller | None:
        """The caller if it is a service."""
        caller: Any = self.request.user
        return caller if isinstance(caller, ServiceCaller) else None

    @property
    def service(self) -> Service | None:
        """The service that calls, None for a user."""
        return self.service_caller.service if self.service_caller else None

    @property
    def actor(self) -> User | None:
        """The user who calls, None for a service."""
        return None if self.service_caller else self.user

    @property
    def caller(self) -> User | Service:
        """Who calls: the service, or the user."""
        return self.service or self.user

    def wallet_owner(self, name: str | None) -> User:
        """Return the user whose wallet is meant: the caller, or the user that a service names.

        Raises UserNotFound, and ValidationError when a service names no user or a user names anyone else.
        """
        if self.service_caller is None:
            return self.user if name is None else require_own_name(self.user, name)
        if name is None:
            raise ValidationError({"user": "Name the user by id or email."}, code="required")
        return self.named_user(name)

    def named_user(self, name: str) -> User:
        """Return the user whom the caller names by id or email. Raises UserNotFound and ValidationError."""
        return find_named_user(self.service_caller or self.user, name)

    def answer(self, answer: Answer) -> Response:
        """Return the response to an action."""
        return Response(answer.body, answer.status_code, headers=REPLAYED if answer.replayed else None)
