"""Permissions of API views."""

from typing import Any

from django.utils.translation import gettext_noop as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import User
from accounts.service_authentication import ServiceCaller
from accounts.services import Scope
from kernel.refusals import Forbidden


class IsAdmin(BasePermission):
    """Allows active ADMINs, by the user's row as read for this request; with two-step verification where it is required."""

    message = "Only an ADMIN may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is an ADMIN."""
        return isinstance(request.user, User) and request.user.is_admin and not request.user.lacks_two_factor


class ScopeMissing(Forbidden):
    code = "scope_missing"
    meaning = _("The service key does not have the scope that this operation needs.")
    detail = _("This key lacks a scope. Ask an operator for a key that has it.")

    def __init__(self, scope: str) -> None:
        super().__init__(f"This key lacks the scope {scope}. Ask an operator for a key that has it.")


def require_scope(caller: ServiceCaller, scope: Scope) -> None:
    """Raise ScopeMissing unless the caller's key has the scope."""
    if scope not in caller.scopes:
        raise ScopeMissing(scope)


class IsService(BasePermission):
    """Allows services, whatever the scopes of their keys."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is a service."""
        return isinstance(request.user, ServiceCaller)


class ServiceWithScope(BasePermission):
    """Allows services whose key has the scope; the refusal names the missing scope."""

    scope: Scope

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is a service. Raises ScopeMissing."""
        caller: Any = request.user
        if not isinstance(caller, ServiceCaller):
            return False
        require_scope(caller, self.scope)
        return True


def service_with(scope: Scope) -> type[ServiceWithScope]:
    """Return the permission of services whose key has the scope."""
    return type(f"ServiceWith{scope.name.title()}", (ServiceWithScope,), {"scope": scope, "__doc__": ServiceWithScope.__doc__})
