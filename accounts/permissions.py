"""Permissions of API views."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import User


class IsAdmin(BasePermission):
    """Allows active ADMINs, by the user's row as read for this request; with two-step verification where it is required."""

    message = "Only an ADMIN may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is an ADMIN."""
        return isinstance(request.user, User) and request.user.is_admin and not request.user.lacks_two_factor
