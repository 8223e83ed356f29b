"""Serializers of requests and responses about accounts."""

from typing import Any

from rest_framework import serializers

from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.tokens import TokenPair
from kernel.strict_serializers import StrictSerializer


class PasswordField(serializers.CharField):
    """A password: never trimmed, never sent back, and short enough to hash."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False, write_only=True, style={"input_type": "password"}, **options
        )


class RegistrationSerializer(StrictSerializer):
    """The body of a registration. The action checks the password rules."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()


class CredentialsSerializer(StrictSerializer):
    """Credentials."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()


class RefreshSerializer(StrictSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=2048)


class PasswordChangeSerializer(StrictSerializer):
    """The current and the new password."""

    current_password = PasswordField()
    new_password = PasswordField()


class TokenPairSerializer(serializers.Serializer[TokenPair]):
    """A pair of tokens."""

    access = serializers.CharField(help_text="Send it as 'Authorization: Bearer …'; valid for minutes.")
    refresh = serializers.CharField(help_text="Exchange it once at auth/token/refresh/ for the next pair.")


class NewUserSerializer(serializers.ModelSerializer[User]):
    """The newly registered user."""

    class Meta:
        model = User
        fields = ("id", "email", "role")
        read_only_fields = fields


class UserSerializer(serializers.ModelSerializer[User]):
    """The signed-in user."""

    class Meta:
        model = User
        fields = ("id", "email", "role", "created_at")
        read_only_fields = fields
