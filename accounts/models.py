"""Users, their roles, and the token families of their API sign-ins."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7

__all__ = ["Revoked", "Role", "Service", "TokenFamily", "TokenFamilyQuerySet", "User", "UserManager", "normal_email"]


class Role(models.TextChoices):
    """Role of a user: ADMIN issues and manages credits, USER claims them."""

    ADMIN = "ADMIN"
    USER = "USER"


def normal_email(email: str) -> str:
    """Return the email as it is stored and looked up: stripped, in lower case."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    """Creates users, and finds a user by email regardless of case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert a user with a hashed password and return it. A user without a password cannot sign in."""
        user = self.model(email=normal_email(email), **fields)
        user.set_password(password)
        user.save(force_insert=True, using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert an ADMIN who may also change users' roles and the schedules."""
        return self.create_user(email, password, role=Role.ADMIN, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this email, regardless of case."""
        return self.get(email=normal_email(username or ""))


class User(AbstractBaseUser):
    """A user, identified by email. Role and `is_active` are read from this row on every request."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True, error_messages={"unique": "This email already has an account. Sign in instead."})
    role = models.CharField(max_length=5, choices=Role.choices, default=Role.USER)
    is_active = models.BooleanField(
        _("active"), default=True, help_text="Untick instead of deleting: the ledger keeps its owner."
    )
    is_superuser = models.BooleanField(_("superuser"), default=False, help_text="May change roles, people and schedules.")
    created_at = models.DateTimeField(_("member since"), db_default=Now(), editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
        )

    def __str__(self) -> str:
        return self.email

    @property
    def is_admin(self) -> bool:
        """Whether the user may manage credits."""
        return self.is_active and self.role == Role.ADMIN

    @property
    def is_staff(self) -> bool:
        """Whether the user may sign in to the Django admin."""
        return self.is_admin

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is correct. Side effect: renews a hash of weaker settings unless it has changed since."""

        def renew(password: str) -> None:
            stored, renewed = self.password, make_password(password)
            if User.objects.filter(pk=self.pk, password=stored).update(password=renewed):
                self.password = renewed

        return check_password(raw_password, self.password, renew)

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Return whether the user has Django's model permissions: only superusers do. Admin sections check the role instead."""
        return self.is_active and self.is_superuser

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        """Return whether the user has all of the permissions."""
        return self.has_perm("", obj)

    def has_module_perms(self, app_label: str) -> bool:
        """Return whether the admin shows an app's section. Sections for operators check the role instead."""
        return self.is_active and self.is_superuser


class TokenFamilyQuerySet(models.QuerySet["TokenFamily"]):
    """Changes of several token families."""

    def revoke(self, reason: "Revoked") -> int:
        """Revoke the families that are not revoked yet, and return how many."""
        return self.filter(revoked_at__isnull=True).update(revoked_at=Now(), revoked_reason=reason)


class Revoked(models.TextChoices):
    """Reason for which a token family was revoked."""

    LOGOUT = "LOGOUT", "Signed out"
    REPLAY = "REPLAY", "A used refresh token came again"
    PASSWORD = "PASSWORD", "The password was changed"  # noqa: S105


class TokenFamily(models.Model):
    """One sign-in through the API with all of its tokens; each access token names its family.

    Only the latest refresh token of a family is valid. Only its digest is stored, so the table holds no credentials.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="token_families")
    refresh_hash = models.CharField(max_length=64, help_text="SHA-256 of the id of the refresh token that is good now.")
    # Django's digest of the password. A password change through any channel invalidates earlier families.
    auth_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=8, choices=Revoked.choices, blank=True)

    objects = TokenFamilyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "token families"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(revoked_at__isnull=True, revoked_reason="")
                | models.Q(revoked_at__isnull=False, revoked_reason__in=Revoked.values),
                name="token_family_revoked_for_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"

    def is_valid_for(self, user_id: UUID | str) -> bool:
        """Return whether the family is that user's, who is active and has not changed the password since."""
        same_password = constant_time_compare(self.auth_hash, self.user.get_session_auth_hash())
        return str(self.user_id) == str(user_id) and self.user.is_active and same_password
