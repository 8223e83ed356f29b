"""The answer to a service that calls what is for users."""

from typing import Any, NoReturn

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.service_authentication import ServiceCaller, ServiceKeyAuthentication


class RefusedServices(APIView):
    """A view that answers 403, and not 401, to a service with a valid key that it does not admit."""

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        """Refuse the request. Raises PermissionDenied; NotAuthenticated without credentials; KeyNotValid, Throttled."""
        if is_service(request):
            raise PermissionDenied(f"{message or 'This is for users.'} Send an access token instead of a service key.")
        super().permission_denied(request, message, code)


def is_service(request: Request) -> bool:
    """Return whether a service calls. Where its key was not read before, it becomes the caller, so that the audit log names it.

    Raises KeyNotValid, Throttled.
    """
    caller: Any = request.user
    if not caller.is_authenticated and not isinstance(caller, ServiceCaller):
        found = ServiceKeyAuthentication().authenticate(request)
        caller = request.user = found[0] if found else caller
    return isinstance(caller, ServiceCaller)
