"""The user whom a request names, by id or email: one rule for every field and parameter `user`."""

from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError

from accounts.email_addresses import normal_email
from accounts.models import User
from accounts.service_authentication import ServiceCaller
from wallet.actions.payment_refusals import UserNotFound

NAME_HELP = "Id or email of the user, as a whole."


def find_named_user(caller: User | ServiceCaller, name: str) -> User:
    """Return the user whom the caller names.

    Raises UserNotFound for services and operators; ValidationError for a user who names anyone else, whether or not they exist.
    """
    if not isinstance(caller, ServiceCaller) and not caller.is_admin:
        return require_own_name(caller, name)
    # The user that a service names was found together with its key.
    user = caller.named_user if isinstance(caller, ServiceCaller) else User.objects.filter(**named_by(name)).first()
    if user is None:
        raise UserNotFound
    return user


def require_own_name(caller: User, name: str) -> User:
    """Return the caller; raise ValidationError when the name is not theirs."""
    if any(getattr(caller, field) != value for field, value in named_by(name).items()):
        raise ValidationError({"user": "You can name only yourself. Omit this field."}, code="not_allowed")
    return caller


def named_by(name: str) -> dict[str, Any]:
    """Return the condition for the user of this id or email."""
    try:
        return {"pk": UUID(name)}
    except ValueError:
        return {"email": normal_email(name)}


class NamedUserFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Keeps the rows of the user whom the caller names."""

    def __init__(self) -> None:
        super().__init__(max_length=254, help_text=NAME_HELP)

    def filter(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        """Return the rows of that user. Raises UserNotFound and ValidationError."""
        return rows.filter(user=find_named_user(self.parent.request.user, name)) if name else rows
