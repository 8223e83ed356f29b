"""Who: the people of the platform and their roles."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower, Now

from accounts.ids import uuid7


class Role(models.TextChoices):
    """What a person may do: ADMIN runs the supply, USER claims."""

    ADMIN = "ADMIN"
    USER = "USER"


def normal_email(email: str) -> str:
    """Return an email as it is stored and looked up: without surrounding space, in lower case."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    """Makes users, and finds one by email whatever its case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert a user with a hashed password (none: cannot sign in) and return it."""
        user = self.model(email=normal_email(email), **fields)
        user.set_password(password)
        user.save(force_insert=True, using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert an ADMIN who may also change people's roles and the schedules."""
        return self.create_user(email, password, role=Role.ADMIN, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this email, in any case."""
        return self.get(email=normal_email(username or ""))


class User(AbstractBaseUser):
    """A person, known by email. Role and `is_active` are read from this row on every request."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True, error_messages={"unique": "This email already has an account. Sign in instead."})
    role = models.CharField(max_length=5, choices=Role.choices, default=Role.USER)
    is_active = models.BooleanField(default=True, help_text="Untick instead of deleting: the ledger keeps its owner.")
    is_superuser = models.BooleanField(default=False, help_text="May change roles, people and schedules.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

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
        """Whether this person may run the supply."""
        return self.is_active and self.role == Role.ADMIN

    @property
    def is_staff(self) -> bool:
        """Whether the Django admin lets this person in."""
        return self.is_admin

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Deny by default: only a superuser holds Django's model permissions; the admin rooms ask for the role."""
        return self.is_active and self.is_superuser

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        """Return whether every permission is held."""
        return self.has_perm("", obj)

    def has_module_perms(self, app_label: str) -> bool:
        """Return whether the admin shows an app's section; the rooms that operators use ask for the role instead."""
        return self.is_active and self.is_superuser
