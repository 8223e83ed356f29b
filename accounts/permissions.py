"""Who may do what."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import User


class IsAdmin(BasePermission):
    """Lets in whom the user's row, read for this request, calls an active ADMIN."""

    message = "Only an ADMIN may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is an ADMIN."""
        return isinstance(request.user, User) and request.user.is_admin
