"""The positions of the stream of events, and the endpoints that webhooks are sent to. No event has a row of its own."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7
from wallet.assets.triggers import append_only

MAX_URL_LENGTH = 500
WEBHOOK_STATES = ("active", "retrying", "failing", "paused")
MAX_EXCERPT = 500  # characters of a receiver's response that the log keeps


class Tick(models.Model):
    """A snapshot of the database: the events between two ticks are those that the second one sees and the first does not.

    Written by wallet.delivery.ticks when there are new events, at most one a second. See ADR 29.
    """

    id = models.BigIntegerField(primary_key=True, help_text="1, 2, 3, … in the order of the snapshots.")
    snapshot = models.TextField(help_text="A pg_snapshot, as text.")
    total = models.BigIntegerField(unique=True, help_text="The number of events up to here, for lags.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers: ClassVar = append_only("tick_append_only")
        indexes = (models.Index(fields=("at",), name="tick_at"),)

    def __str__(self) -> str:
        return str(self.id)


class WebhookEndpoint(models.Model):
    """A URL of a service that gets its events, and how far it has got.

    Its secret is derived from SECRET_KEY, its id and `secret_version` (webhook_signatures), so that none is stored.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    # db_index=False: a unique index below begins with the same column.
    service = models.ForeignKey(Service, models.PROTECT, related_name="webhooks", db_index=False)
    url = models.CharField(max_length=MAX_URL_LENGTH)
    event_types = ArrayField(models.CharField(max_length=30), default=list, help_text="Empty: all types.")
    is_active = models.BooleanField(default=True)
    secret_version = models.PositiveIntegerField(default=1)
    previous_secret_until = models.DateTimeField(null=True, help_text="Until when the previous secret signs too.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Empty: the service."
    )

    cursor = models.CharField(max_length=150, help_text="The position after the last event that arrived.")
    delivered = models.BigIntegerField(default=0)
    last_success_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed attempts since the last success.")
    failing_since = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(db_default=Now())
    given_up_at = models.DateTimeField(null=True, help_text="Since when nothing is sent, after a day of failures.")
    # The worker that sends to it now. After a crash the lease ends by itself.
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("webhook"), _("webhooks")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("service", "url"), name="webhook_url_of_service"),
            models.CheckConstraint(
                condition=Q(lease=None, leased_until=None) | Q(lease__isnull=False, leased_until__isnull=False),
                name="webhook_lease_ends",
            ),
        )

    def __str__(self) -> str:
        return self.url

    @property
    def state(self) -> str:
        """Whether events are sent: "paused", "failing" (given up), "retrying" or "active"."""
        if not self.is_active:
            return "paused"
        if self.given_up_at is not None:
            return "failing"
        return "retrying" if self.failing_since is not None else "active"

    def has_previous_secret(self, now: datetime) -> bool:
        """Return whether the secret from before the rotation signs too."""
        return self.previous_secret_until is not None and self.previous_secret_until > now


class WebhookAttempt(models.Model):
    """The log of sending: one row for a run of events that arrived, and one for each failure. Kept 30 days."""

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="attempts", db_index=False)
    at = models.DateTimeField(db_default=Now())
    event_ids = ArrayField(models.CharField(max_length=50))
    succeeded = models.BooleanField()
    status = models.PositiveSmallIntegerField(null=True, help_text="The HTTP status; empty: no response.")
    duration_ms = models.PositiveIntegerField()
    detail = models.CharField(max_length=MAX_EXCERPT, help_text="The beginning of the response, or why there was none.")

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("endpoint", "-id"), name="webhook_log"),
            models.Index(fields=("at",), name="webhook_log_age"),
        )

    def __str__(self) -> str:
        return f"{len(self.event_ids)} events: {self.status or self.detail}"
