"""The facts of the wallet as money: movements with their postings, and grants. Append-only.

Lots, payments and allocations are states, which triggers keep from these facts (wallet.ledger.lots).
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now, Round
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7
from wallet.assets.models import DECIMALS_OF_ROW
from wallet.assets.triggers import append_only
from wallet.ledger import approval_triggers, movement_triggers
from wallet.ledger.fields import TransactionIdField
from wallet.ledger.movement_kinds import DRAWING, KINDS, OF_CLAIM, OF_PAYMENT
from wallet.money import CURRENCIES, MAX_VALUE, format_amount

MAX_POSTINGS = 500  # lots of one payment
MAX_HOLD_DAYS = 30
REFERENCE = r"^[!-~]([ -~]{0,98}[!-~])?$"  # printable ASCII without blanks at the ends, up to 100 characters


class Movement(models.Model):
    """The immutable header of what happened to claimed value. PostgreSQL sets `number`, `at` and `xid`.

    `number` counts the movements of a wallet (user and currency) without gaps. `at` is the time from which it counts: that of
    a lapse or of the end of a hold is when it became true, however late it was written down.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=[(kind, kind.capitalize()) for kind in KINDS])
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="movements", db_index=False)
    currency = models.CharField(max_length=3)
    number = models.BigIntegerField(editable=False)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    at = models.DateTimeField(editable=False)
    # The id of the payment's first movement. Checked by the trigger, which reads the payment anyway.
    payment = models.ForeignKey(
        "Payment", models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="movements"
    )
    claim = models.ForeignKey("Entry", models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="movements")
    service = models.ForeignKey(Service, models.PROTECT, null=True, db_index=False, related_name="+")
    reference = models.CharField(max_length=100, null=True, help_text="The service's name of the order or of the refund.")
    order_total = models.DecimalField(max_digits=24, decimal_places=4, null=True)
    held_until = models.DateTimeField(null=True)
    shortfall = models.DecimalField(
        max_digits=24,
        decimal_places=4,
        null=True,
        help_text="What a clawback could not take yet. NULL: it follows an earlier one.",
    )
    reason = models.CharField(max_length=20, null=True)
    note_digest = models.CharField(max_length=64, null=True, help_text="SHA-256 of a note, which may be deleted.")
    request_key = models.CharField(max_length=64, null=True)
    fingerprint = models.CharField(max_length=64, null=True, help_text="SHA-256 of the request's contents.")
    # NULL: the service itself, or the scheduler.
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+")
    channel = models.CharField(max_length=20)
    xid = TransactionIdField(db_default=Func(function="pg_current_xact_id"), editable=False)

    class Meta:
        ordering = ("-id",)
        triggers: ClassVar = [
            *append_only("movement_append_only"),
            movement_triggers.turn,
            movement_triggers.whole,
            approval_triggers.movement_approved,
        ]
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=tuple(KINDS)), name="movement_kind_known"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, amount__lte=MAX_VALUE * 1000) | Q(kind="CLAWBACK", amount=0, shortfall__gt=0),
                name="movement_amount_range",
            ),
            models.CheckConstraint(condition=Q(currency__in=CURRENCIES), name="movement_currency_known"),
            models.CheckConstraint(condition=Q(amount=Round("amount", DECIMALS_OF_ROW)), name="movement_amount_scale"),
            models.CheckConstraint(
                condition=Q(kind__in=OF_PAYMENT, payment__isnull=False, service__isnull=False, claim=None)
                | Q(kind__in=OF_CLAIM, payment=None, service=None, claim__isnull=False),
                name="movement_of_payment_or_claim",
            ),
            models.CheckConstraint(
                condition=Q(kind="HOLD", held_until__isnull=False) | Q(~Q(kind="HOLD"), held_until=None),
                name="movement_hold_ends",
            ),
            models.CheckConstraint(
                condition=Q(reference__isnull=False, reference__regex=REFERENCE)
                | Q(~Q(kind__in=(*DRAWING, "REFUND")), reference=None),
                name="movement_reference_given",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=("REFUND", "CLAWBACK", "EXTEND")) | Q(reason__isnull=False) & ~Q(reason=""),
                name="movement_reason_given",
            ),
            models.CheckConstraint(
                condition=Q(shortfall=None) | Q(kind="CLAWBACK", shortfall__gte=0), name="movement_shortfall_of_clawback"
            ),
            models.CheckConstraint(
                condition=Q(order_total=None) | Q(kind__in=DRAWING, order_total__gt=0), name="movement_order_total_positive"
            ),
            models.UniqueConstraint(fields=("user", "currency", "number"), name="movement_number"),
            models.UniqueConstraint(
                fields=("actor", "request_key"), condition=Q(request_key__isnull=False), name="movement_request_key"
            ),
            models.UniqueConstraint(
                fields=("service", "request_key"),
                condition=Q(request_key__isnull=False, actor=None),
                name="movement_service_request_key",
            ),
            models.UniqueConstraint(
                fields=("service", "reference"), condition=Q(kind="REFUND"), name="movement_refund_reference"
            ),
        )
        indexes = (
            models.Index(fields=("user", "-at", "-id"), name="movement_history"),
            models.Index("xid", "id", name="movement_commit_order"),
            models.Index(fields=("payment", "number"), condition=Q(payment__isnull=False), name="movement_payment"),
            models.Index(fields=("claim",), condition=Q(claim__isnull=False), name="movement_claim"),
            models.Index(fields=("-at", "-id"), condition=Q(kind="LAPSE"), name="movement_lapses"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {format_amount(self.amount, self.currency)} {self.currency}"


class Lapse(Movement):
    """A movement by which the rest of a credit ended by time: a proxy for the console's list."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = _("lapse"), _("lapses")


class Posting(models.Model):
    """What one lot bears of a movement; immutable. `position` is the order in which the lots were drawn."""

    pk = models.CompositePrimaryKey("movement_id", "position")
    movement = models.ForeignKey(Movement, models.PROTECT, related_name="postings", db_index=False)
    position = models.PositiveSmallIntegerField()
    lot = models.ForeignKey("Lot", models.PROTECT, related_name="postings", db_constraint=False, db_index=False)
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    spendable_until = models.DateTimeField(null=True, help_text="The lot's new end, of an extension or a renewing refund.")

    class Meta:
        triggers: ClassVar = [*append_only("posting_append_only"), movement_triggers.applied]
        constraints = (
            models.UniqueConstraint(fields=("lot", "movement"), name="posting_one_per_lot"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="posting_amount_positive"),
            models.CheckConstraint(condition=Q(position__gte=1, position__lte=MAX_POSTINGS), name="posting_position_bounded"),
        )

    def __str__(self) -> str:
        return f"{self.amount} of {self.lot_id}"


class Grant(models.Model):
    """A claim that an operator or a service made for a user, with its reason; append-only."""

    entry = models.OneToOneField("Entry", models.PROTECT, primary_key=True, related_name="grant")
    service = models.ForeignKey(Service, models.PROTECT, null=True, db_index=False, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+")
    reference = models.CharField(max_length=100)
    reason = models.CharField(max_length=20)
    fingerprint = models.CharField(max_length=64)
    granted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers: ClassVar = [*append_only("grant_append_only"), approval_triggers.grant_approved]
        constraints = (
            models.UniqueConstraint(fields=("service", "reference"), name="grant_reference", nulls_distinct=False),
            models.CheckConstraint(condition=Q(reference__regex=REFERENCE), name="grant_reference_given"),
            models.CheckConstraint(condition=~Q(reason=""), name="grant_reason_given"),
        )

    def __str__(self) -> str:
        return f"{self.reference}: {self.reason}"
