"""Explanations of claims: for the caller, or for the user whom an ADMIN names."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.models import User
from wallet.actions.payment_refusals import UserNotFound
from wallet.api.filters import check_parameters
from wallet.api.service_viewsets import named_by

FOR_USER = OpenApiParameter("user", str, description="ADMIN only. Id or email of the user; the caller unless given.")


def explained_user(request: Request, caller: User) -> User:
    """Return whom the explanation is for. Raises UserNotFound, and ValidationError for other parameters."""
    check_parameters(request, {"user"} if caller.is_admin else set())
    name = request.query_params.get("user")
    if not name:
        return caller
    user = User.objects.filter(**named_by(name)).first()
    if user is None:
        raise UserNotFound
    return user
