"""Serializers of requests and responses about accounts."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.serializers import as_serializer_error

from accounts.invitations import MAX_CODE_LENGTH
from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH, validate_new_password
from accounts.sign_ins import SignIn
from accounts.tokens import TokenPair
from kernel.strict_serializers import StrictSerializer


class PasswordField(serializers.CharField):
    """A password: never trimmed, never sent back, and short enough to hash."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False, write_only=True, style={"input_type": "password"}, **options
        )


class CodeField(serializers.CharField):
    """A code from an authenticator app, or a recovery code; only accounts with two-step verification need one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=20, required=False, allow_blank=True, write_only=True, **options)


class RegistrationSerializer(StrictSerializer):
    """The body of a registration. The action checks the password rules."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    referral_code = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_CODE_LENGTH, help_text="The code of the friend who invites the person."
    )

    def further_errors(self, valid: dict[str, Any]) -> dict[str, Any]:
        """Return what is wrong with the password when the email is, too."""
        return password_errors(valid, "password")


class CredentialsSerializer(StrictSerializer):
    """Credentials."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    code = CodeField()


class ForgottenPasswordSerializer(StrictSerializer):
    """The email of the account whose password was forgotten."""

    email = serializers.EmailField(max_length=254)


class LinkSerializer(StrictSerializer):
    """The token of a link: the last part of its address."""

    token = serializers.CharField(max_length=200, write_only=True)


class PasswordResetSerializer(LinkSerializer):
    """The token of a link and the new password."""

    new_password = PasswordField()


class ConfirmedSerializer(StrictSerializer):
    """The current password, which confirms that it is the user."""

    current_password = PasswordField()


class CloseSerializer(ConfirmedSerializer):
    """The current password, and a code from the authenticator app where the account has one."""

    code = CodeField()


class EmailChangeSerializer(ConfirmedSerializer):
    """The new email and the current password."""

    email = serializers.EmailField(max_length=254)


class SignInSerializer(serializers.Serializer[SignIn]):
    """One sign-in: a browser's session or an app's tokens."""

    id = serializers.UUIDField()
    kind = serializers.CharField(help_text='"browser" or "app".')
    device = serializers.CharField(help_text='Browser or app and system in words, such as "Chrome on Windows".')
    address = serializers.CharField(help_text="Network address of its last recorded use.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(help_text="Recorded once every few minutes.")
    is_current = serializers.BooleanField(help_text="Whether it is the sign-in that sent this request.")


class RefreshSerializer(StrictSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=2048)


class PasswordChangeSerializer(StrictSerializer):
    """The current and the new password."""

    current_password = PasswordField()
    new_password = PasswordField()

    def further_errors(self, valid: dict[str, Any]) -> dict[str, Any]:
        """Return what is wrong with the new password when another field is, too."""
        return password_errors(valid, "new_password")


def password_errors(valid: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the errors of a new password in a body whose other fields are invalid."""
    try:
        if field in valid:
            validate_new_password(str(valid[field]), User(email=str(valid.get("email", ""))), field)
    except ValidationError as error:
        return as_serializer_error(error)
    return {}


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
        fields = ("id", "email", "email_verified_at", "role", "created_at")
        read_only_fields = fields
