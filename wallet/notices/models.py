"""What people are told by email: a credit ends soon, a credit was granted, a refund arrived.

A notice is one row, unique per (user, kind, key), found from the ledger and written before anything is sent. It is written
and kept whatever emails the person wants: services are told of credit that ends, too (wallet.delivery).
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7
from wallet.ledger.fields import TransactionIdField


class NoticeKind(models.TextChoices):
    """What a notice is about. The value is also the name of its preference and of its templates."""

    ENDING_SOON = "ending_soon", _("Credits that end soon")
    GRANTED = "granted", _("Credits you receive")
    REFUNDED = "refunded", _("Refunds")


class NoticeState(models.TextChoices):
    """What has become of a notice's email.

    HANDED_OVER is committed before the mail server is contacted, SENT after it has accepted the email. A notice that stays
    HANDED_OVER was interrupted in between: whether it left is unknown, and it is not sent again.
    """

    WAITING = "WAITING", _("Waiting")
    HANDED_OVER = "HANDED_OVER", _("Handed over, not confirmed")
    SENT = "SENT", _("Sent")
    SKIPPED = "SKIPPED", _("Not sent")
    FAILED = "FAILED", _("Refused by the mail server")


class SkipReason(models.TextChoices):
    """Why no email was sent for a notice."""

    CLOSED = "CLOSED", _("the account is closed")
    NOT_VERIFIED = "NOT_VERIFIED", _("the email is not verified")
    OPTED_OUT = "OPTED_OUT", _("the customer turned these emails off")
    MAIL_OFF = "MAIL_OFF", _("no mail server is set up")
    TOO_LATE = "TOO_LATE", _("the mail server could not be reached in time")


class Notice(models.Model):
    """One thing that a person is told once.

    `key` names the thing: the claim of a grant, the movement of a refund, the person's day of a digest. `payload` holds ids,
    amounts and times, nothing that names the person. `xid` is the transaction that wrote the row, for readers in commit order.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="notices", db_index=False)
    kind = models.CharField(max_length=12, choices=NoticeKind.choices)
    key = models.CharField(max_length=40)
    payload: models.JSONField[Any, Any] = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    xid = TransactionIdField(db_default=Func(function="pg_current_xact_id"), editable=False)
    state = models.CharField(max_length=11, choices=NoticeState.choices, default=NoticeState.WAITING)
    skip_reason = models.CharField(max_length=12, choices=SkipReason.choices, blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    handed_over_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("notice"), _("notices")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("user", "kind", "key"), name="notice_once"),
            models.CheckConstraint(condition=Q(kind__in=NoticeKind.values), name="notice_kind_known"),
            models.CheckConstraint(
                condition=Q(state="WAITING", sent_at=None, skip_reason="")
                | Q(state__in=("HANDED_OVER", "FAILED"), handed_over_at__isnull=False, sent_at=None, skip_reason="")
                | Q(state="SENT", handed_over_at__isnull=False, sent_at__isnull=False, skip_reason="")
                | Q(state="SKIPPED", sent_at=None, skip_reason__in=SkipReason.values),
                name="notice_state",
            ),
        )
        indexes = (
            models.Index(fields=("user", "-id"), name="notice_of_user"),
            models.Index("xid", "id", name="notice_commit_order"),
            models.Index(fields=("next_attempt_at", "id"), condition=Q(state="WAITING"), name="notice_waiting"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class NoticeOptOut(models.Model):
    """A kind of email that a person does not want. Without a row they get it."""

    pk = models.CompositePrimaryKey("user_id", "kind")
    user = models.ForeignKey(User, models.CASCADE, related_name="notice_opt_outs", db_index=False)
    kind = models.CharField(max_length=12, choices=NoticeKind.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=NoticeKind.values), name="notice_opt_out_kind_known")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} without {self.kind}"


class NoticeCursor(models.Model):
    """How far a source of notices has been read: the ledger up to a transaction id, mornings up to a time."""

    source = models.CharField(max_length=8, primary_key=True)
    xid = TransactionIdField(null=True)  # type: ignore[misc]
    at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.source
