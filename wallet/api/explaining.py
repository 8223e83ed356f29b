"""Explanations of claims: for the caller, or for the user whom an ADMIN names."""

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.models import User
from kernel.strict_serializers import StrictSerializer
from wallet.actions.payment_refusals import UserNotFound
from wallet.api.service_viewsets import named_by


class ExplainQuery(StrictSerializer):
    """Whose claim to explain."""

    user = serializers.CharField(required=False, help_text="ADMIN only. Id or email of the user; the caller unless given.")


def explained_user(caller: User, name: str | None) -> User:
    """Return whom the explanation is for: the user of this id or email. Raises UserNotFound; ValidationError for users."""
    if name is None:
        return caller
    if not caller.is_admin:
        raise ValidationError({"user": "Only an ADMIN names a user. Omit this parameter."}, code="not_allowed")
    user = User.objects.filter(**named_by(name)).first()
    if user is None:
        raise UserNotFound
    return user
