"""The shapes of what callers send and receive about people."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from accounts.models import User
from accounts.passwords import LONGEST_PASSWORD
from accounts.tokens import Pair


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, so that a typo is never ignored. Put it first among the bases of any input."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input; raise ValidationError that names each unknown field."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        unknown = [str(name) for name in data if name not in known] if isinstance(data, Mapping) else []
        if unknown:
            message = f"Unknown field. Known are: {', '.join(sorted(known)) or 'none'}."
            raise serializers.ValidationError({key: [message] for key in unknown}, code="unknown")
        return super().to_internal_value(data)


class PasswordField(serializers.CharField):
    """A password: never trimmed, never sent back, and short enough to hash."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, style={"input_type": "password"}, **options
        )


class RegistrationSerializer(StrictSerializer):
    """What a newcomer sends. The rules for a good password stand in the act."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()


class CredentialsSerializer(StrictSerializer):
    """What signing in takes."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()


class RefreshSerializer(StrictSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=2048)


class PasswordChangeSerializer(StrictSerializer):
    """The password there is and the one there shall be."""

    current_password = PasswordField()
    new_password = PasswordField()


class PairSerializer(serializers.Serializer[Pair]):
    """A pair of tokens."""

    access = serializers.CharField(help_text="Send it as 'Authorization: Bearer …'; good for minutes.")
    refresh = serializers.CharField(help_text="Exchange it once at auth/token/refresh/ for the next pair.")


class NewPersonSerializer(serializers.ModelSerializer[User]):
    """A person who just registered."""

    class Meta:
        model = User
        fields = ("id", "email", "role")
        read_only_fields = fields


class PersonSerializer(serializers.ModelSerializer[User]):
    """A person, as they see themselves."""

    class Meta:
        model = User
        fields = ("id", "email", "role", "created_at")
        read_only_fields = fields
