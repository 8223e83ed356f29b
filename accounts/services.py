"""Services: systems, such as a shop's backend, that call with a key of their own."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7


class Service(models.Model):
    """A system that takes payments: the merchant's side of a payment, and the principal of its own requests."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True, help_text="Turn off to refuse all requests of this service.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """What a service key allows."""

    QUOTE = "payments:quote", _("Quote payments")
    HOLD = "payments:hold", _("Hold and release credit")
    CAPTURE = "payments:capture", _("Capture holds and take payments at once")
    REFUND = "payments:refund", _("Refund payments")
    READ_PAYMENTS = "payments:read", _("Read its own payments")
    READ_WALLETS = "wallets:read", _("Read balances and credits of users")
    GRANT = "credits:grant", _("Grant credits, claw them back and extend them")
    READ_EVENTS = "events:read", _("Read events")
    MANAGE_WEBHOOKS = "webhooks:manage", _("Add, test and remove its webhooks")
    REPORT_EVENTS = "events:write", _("Report events that rules reward with credits")


class ServiceKey(models.Model):
    """One API key of a service: `prefix.secret`, of which the hash alone is stored.

    A key is rotated by making another one; both are valid until the earlier one expires.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    service = models.ForeignKey(Service, models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=8, unique=True)
    # SHA-512, which is fast: a secret of 190 random bits cannot be guessed, so that nothing is gained by hashing it slowly.
    hash = models.CharField(max_length=150)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Empty: the shell."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Recorded at most once a minute.")

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values) & ~models.Q(scopes=[]), name="service_key_scopes_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.prefix} of {self.service_id}"

    def state(self, now: datetime) -> str:
        """Return whether the key is valid at `now`: "active", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"
