"""Users, their roles, and their sign-ins: browser sessions and the token families of the API."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts.constraint_words import WORDS
from accounts.email_addresses import check_email, email_forms, normal_email
from accounts.password_forms import normal_password
from accounts.services import Service, ServiceKey  # noqa: F401  (models of this app)
from kernel.constraint_words import check_constraints
from kernel.model_fields import GeneratedUUIDField, ValidatedEmailField
from kernel.uuid7 import uuid7


class Role(models.TextChoices):
    """Role of a user: ADMIN issues and manages credits, USER claims them."""

    ADMIN = "ADMIN"
    USER = "USER"


CLOSED_DOMAIN = "@closed.invalid"  # of the pseudonyms of closed accounts; RFC 2606 reserves it, so no mail ever leaves for it


class UserManager(BaseUserManager["User"]):
    """Creates users, and finds a user by email in any of its forms."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert a user with a hashed password and return it. A user without a password cannot sign in.

        Raises ValidationError for what is no email.
        """
        check_email(email)
        user = self.model(email=normal_email(email), **fields)
        user.set_password(password)
        user.save(force_insert=True, using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert an ADMIN who may also change users' roles and the schedules."""
        return self.create_user(email, password, role=Role.ADMIN, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this email, in any form. An account from before that is stored as typed comes first."""
        forms = email_forms(username or "")
        users = sorted(self.filter(email__in=forms), key=lambda user: forms.index(user.email))
        if not users:
            raise self.model.DoesNotExist
        return users[0]


class User(AbstractBaseUser):
    """A user, identified by email. Role and `is_active` are read from this row on every request."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    email = ValidatedEmailField(
        unique=True,
        validators=[check_email],
        error_messages={"unique": "This email already has an account. Sign in instead."},
    )
    role = models.CharField(max_length=5, choices=Role.choices, default=Role.USER)
    is_active = models.BooleanField(
        _("active"), default=True, help_text="Untick instead of deleting: the ledger keeps its owner."
    )
    is_superuser = models.BooleanField(_("superuser"), default=False, help_text="May change roles, people and schedules.")
    created_at = models.DateTimeField(_("member since"), db_default=Now(), editable=False)
    # An IANA zone. Empty until the browser's zone is known (accounts.time_zones); the database default lets older code insert.
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, default="", db_default="", editable=False)
    # A code of settings.LANGUAGES for emails. Empty until the person has used the pages (accounts.languages).
    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="", editable=False)
    email_verified_at = models.DateTimeField(_("email verified"), null=True, editable=False)
    # The email that replaces the current one as soon as its owner follows the link sent to it; empty when there is none.
    pending_email = models.EmailField(blank=True, default="", db_default="", editable=False)
    two_factor_since = models.DateTimeField(_("two-step verification since"), null=True, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    # The timeline of the server that this row was read from (kernel.server_timeline); only authentication by token reads it.
    server_timeline: str | None = None

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case"),
            models.CheckConstraint(condition=models.Q(pending_email=Lower("pending_email")), name="user_pending_lower_case"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True)
                | models.Q(is_active=False, is_superuser=False, pending_email="", email__endswith=CLOSED_DOMAIN),
                name="user_closed_is_pseudonymous",
            ),
        )

    def __str__(self) -> str:
        return self.email

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise ValidationError with the words of all violated constraints, beside their fields."""
        check_constraints(self, WORDS, exclude)

    @property
    def is_admin(self) -> bool:
        """Whether the user may manage credits."""
        return self.is_active and self.role == Role.ADMIN

    @property
    def is_staff(self) -> bool:
        """Whether the user may use the Django admin: an ADMIN, with two-step verification where it is required."""
        return self.is_admin and not self.lacks_two_factor

    @property
    def lacks_two_factor(self) -> bool:
        """Whether the user must set up two-step verification before using the console."""
        return bool(settings.REQUIRE_TWO_FACTOR) and self.is_admin and self.two_factor_since is None

    def set_password(self, raw_password: str | None) -> None:
        """Set the password in its normal form; None makes signing in impossible."""
        super().set_password(raw_password if raw_password is None else normal_password(raw_password))

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


MAX_USER_AGENT = 200  # characters; the rest says nothing about the device


class BrowserSession(Session):
    """Django's session with its user and the browser it belongs to. Anonymous sessions have no user.

    Saving the session keeps these fields (accounts.sessions). `last_used_at` is renewed at most once a few minutes.
    """

    user = models.ForeignKey(User, models.CASCADE, null=True, db_constraint=False, related_name="browser_sessions")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(db_default=Now(), editable=False)
    user_agent = models.CharField(max_length=MAX_USER_AGENT, blank=True, default="", db_default="")
    address = models.CharField(max_length=45, blank=True, default="", db_default="")


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
    last_used_at = models.DateTimeField(db_default=Now(), editable=False)  # of the refresh token, once every few minutes
    user_agent = models.CharField(max_length=MAX_USER_AGENT, blank=True, default="", db_default="")
    address = models.CharField(max_length=45, blank=True, default="", db_default="")
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
