"""Explanations of claims: for the caller, or for the user whom an ADMIN names."""

from rest_framework import serializers

from accounts.models import User
from kernel.strict_serializers import StrictSerializer
from wallet.api.named_users import find_named_user


class ExplainQuery(StrictSerializer):
    """Whose claim to explain."""

    user = serializers.CharField(
        max_length=254, required=False, help_text="Id or email of the user, for an ADMIN; the caller unless given."
    )


def explained_user(caller: User, name: str | None) -> User:
    """Return whom the explanation is for: the user of this id or email. Raises UserNotFound and ValidationError."""
    return caller if name is None else find_named_user(caller, name)
