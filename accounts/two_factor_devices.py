"""What codes are checked against: django-otp's devices, with encrypted secrets and digests of recovery codes."""

import logging
import os
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.db import models
from django.utils.crypto import salted_hmac
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import User
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
NOT_READABLE = Fallback("two_factor.key_not_readable", "a second factor's secret was encrypted under another SECRET_KEY", log)
SECRET_BYTES = 20  # RFC 4226 recommends 160 bits
RECOVERY_CODES = 10
MAX_COUNTED_FAILURES = 10  # the pause after wrong codes doubles up to 512 s: so that no user is kept out for days


def secret_cipher() -> AESSIV:
    """Return the cipher of the secrets at rest (RFC 5297)."""
    return AESSIV(salted_hmac("accounts.two_factor_devices.secret", "", algorithm="sha256").digest())


def normal_code(code: str) -> str:
    """Return a code as it is compared: without spaces and dashes, in lower case; empty for other letters."""
    code = "".join(code.split()).replace("-", "").lower()
    return code if code.isascii() and code.isalnum() else ""


def code_digest(code: str) -> str:
    """Return the stored digest of a recovery code: 64 bits of a keyed hash, which is what the column holds."""
    return salted_hmac("accounts.two_factor_devices.code", code, algorithm="sha256").hexdigest()[:16]


class BoundedPause(models.Model):
    """Bounds django-otp's pause after wrong codes."""

    class Meta:
        abstract = True

    def throttle_increment(self: Any, commit: bool = True) -> None:
        """Count a wrong code."""
        super().throttle_increment(commit=False)  # type: ignore[misc]
        self.throttling_failure_count = min(self.throttling_failure_count, MAX_COUNTED_FAILURES)
        if commit:
            self.save()


class AuthenticatorManager(models.Manager["Authenticator"]):
    """Creates devices with encrypted secrets."""

    def create_for(self, user: User) -> "Authenticator":
        """Insert an unconfirmed device with a new secret."""
        encrypted = secret_cipher().encrypt(os.urandom(SECRET_BYTES), [user.pk.bytes])
        return self.create(user=user, name="authenticator", key=encrypted.hex(), confirmed=False)


class Authenticator(BoundedPause, TOTPDevice):  # type: ignore[misc]
    """An authenticator app; `key` is its secret, encrypted and bound to its user."""

    DIGITS = 6
    objects: ClassVar[AuthenticatorManager] = AuthenticatorManager()

    class Meta:
        proxy = True

    def verify_token(self, token: str) -> bool:
        """Return whether this is the present code, which is then used up."""
        try:
            return bool(super().verify_token(token))
        except InvalidTag:
            NOT_READABLE.record()
            return False

    @property
    def bin_key(self) -> bytes:
        """The secret. Raises InvalidTag if SECRET_KEY has changed since."""
        return secret_cipher().decrypt(bytes.fromhex(self.key), [self.user_id.bytes])


class RecoveryCodesManager(models.Manager["RecoveryCodes"]):
    """Creates recovery codes."""

    def replace_for(self, user: User) -> list[str]:
        """Delete the user's codes and return new ones, of which only digests are stored. The caller has a transaction."""
        self.filter(user=user).delete()
        device = self.create(user=user, name="recovery codes")
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=device, token=code_digest(code)) for code in codes)
        return [f"{code[:4]}-{code[4:]}" for code in codes]


class RecoveryCodes(BoundedPause, StaticDevice):  # type: ignore[misc]
    """The codes for a lost authenticator app; each works once."""

    objects: ClassVar[RecoveryCodesManager] = RecoveryCodesManager()

    class Meta:
        proxy = True

    def verify_token(self, token: str) -> bool:
        """Return whether the code is one of them, and delete it."""
        return bool(super().verify_token(code_digest(token)))
