"""The states of the wallet as money, which triggers keep from movements and postings; the application only reads them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import BooleanField, ExpressionWrapper, F, Q
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from wallet.assets.models import ClawbackReach
from wallet.ledger import lot_triggers
from wallet.ledger.movement_kinds import LOT_FIGURES


def stored_boolean(condition: Q) -> models.GeneratedField:
    """Return a generated column. Partial indexes name it instead of the figures, which would make each change rewrite them."""
    expression = ExpressionWrapper(condition, BooleanField())
    return models.GeneratedField(expression=expression, output_field=BooleanField(), db_persist=True)


DATED = Q(spendable_until__isnull=False) | Q(spendable_from__gt=F("opened_at"))  # movement_kinds.DATED_LOT


class Lot(models.Model):
    """What is left of one claimed credit, from when and until when it can be spent. Its id is that of the claim's entry.

    `clawback_total` is how much of the claim was asked back, from this lot and others. `clawback_due` is the part of it that
    could not be taken yet: whatever comes back to the lot is taken at once.
    """

    entry = models.OneToOneField("Entry", models.PROTECT, primary_key=True, db_constraint=False, related_name="lot")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_constraint=False, db_index=False, related_name="+")
    currency = models.CharField(max_length=3)
    service = models.ForeignKey(Service, models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+")
    draw_priority = models.PositiveSmallIntegerField()
    refund_grace_days = models.PositiveSmallIntegerField()
    clawback_reach = models.CharField(max_length=6, choices=ClawbackReach.choices)
    opened_at = models.DateTimeField()
    spendable_from = models.DateTimeField()
    spendable_until = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(help_text="When its last movement counts from.")
    total = models.DecimalField(max_digits=18, decimal_places=4)
    available = models.DecimalField(max_digits=18, decimal_places=4)
    held = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    spent = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    lapsed = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    clawed_back = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    clawback_total = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    clawback_due = models.DecimalField(max_digits=18, decimal_places=4, db_default=0)
    renewals = models.PositiveSmallIntegerField(db_default=0)
    is_open = stored_boolean(Q(available__gt=0))

    class Meta:
        triggers: ClassVar = [*lot_triggers.never_deleted("lot_kept"), lot_triggers.taken_back]
        constraints = (
            *(models.CheckConstraint(condition=Q(**{f"{name}__gte": 0}), name=f"lot_{name}") for name in LOT_FIGURES),
            models.CheckConstraint(
                condition=Q(total=F("available") + F("held") + F("spent") + F("lapsed") + F("clawed_back")), name="lot_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(clawback_due__gte=0, clawback_due__lte=F("clawback_total"), clawback_total__lte=F("total")),
                name="lot_clawback_due",
            ),
        )
        indexes = (
            models.Index(
                fields=("user", "currency", "draw_priority", "spendable_until", "opened_at", "entry"),
                condition=Q(is_open=True),
                name="lot_draw",
            ),
            models.Index(
                fields=("spendable_until", "entry"), condition=Q(is_open=True, spendable_until__isnull=False), name="lot_ending"
            ),
            models.Index(fields=("user", "currency"), condition=Q(is_open=True) & DATED, name="lot_dated"),
        )

    def __str__(self) -> str:
        return f"{self.available} of {self.total} {self.currency}"


class Payment(models.Model):
    """What one order was paid with credits. Its id is that of its first movement; its state follows from its figures."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, db_constraint=False, db_index=False, related_name="payments"
    )
    currency = models.CharField(max_length=3)
    service = models.ForeignKey(Service, models.PROTECT, db_constraint=False, db_index=False, related_name="payments")
    reference = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    held = models.DecimalField(max_digits=24, decimal_places=4)
    captured = models.DecimalField(max_digits=24, decimal_places=4)
    released = models.DecimalField(max_digits=24, decimal_places=4)
    refunded = models.DecimalField(max_digits=24, decimal_places=4)
    began_at = models.DateTimeField()
    held_until = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    is_live = stored_boolean(Q(held__gt=0) | Q(captured__gt=0))
    is_held = stored_boolean(Q(held__gt=0))

    class Meta:
        verbose_name, verbose_name_plural = _("payment"), _("payments")
        triggers: ClassVar = lot_triggers.never_deleted("payment_kept")
        constraints = (
            models.CheckConstraint(
                condition=Q(amount=F("held") + F("captured") + F("released"), held__gte=0, captured__gte=0, released__gte=0),
                name="payment_adds_up",
            ),
            models.CheckConstraint(condition=Q(refunded__gte=0, refunded__lte=F("captured")), name="payment_refunded"),
            models.UniqueConstraint(
                fields=("service", "user", "reference"), condition=Q(is_live=True), name="payment_reference"
            ),
        )
        indexes = (
            models.Index(fields=("user", "-began_at", "-id"), name="payment_of_user"),
            models.Index(fields=("service", "id"), name="payment_of_service"),
            models.Index(fields=("held_until", "id"), condition=Q(is_held=True), name="payment_held"),
            models.Index(fields=("user", "currency"), condition=Q(is_held=True), name="payment_held_of_user"),
            # For the console's search by the beginning of an order's reference.
            models.Index(fields=("reference",), opclasses=("text_pattern_ops",), name="payment_by_reference"),
        )

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} for {self.reference}"


class Allocation(models.Model):
    """What one lot bears of one payment."""

    pk = models.CompositePrimaryKey("payment_id", "lot_id")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="allocations", db_constraint=False, db_index=False)
    lot = models.ForeignKey(Lot, models.PROTECT, related_name="allocations", db_constraint=False, db_index=False)
    position = models.PositiveSmallIntegerField()
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    held = models.DecimalField(max_digits=18, decimal_places=4)
    captured = models.DecimalField(max_digits=18, decimal_places=4)
    released = models.DecimalField(max_digits=18, decimal_places=4)
    refunded = models.DecimalField(max_digits=18, decimal_places=4)

    class Meta:
        triggers: ClassVar = lot_triggers.never_deleted("allocation_kept")
        constraints = (
            models.CheckConstraint(
                condition=Q(amount=F("held") + F("captured") + F("released"), held__gte=0, captured__gte=0, released__gte=0),
                name="allocation_adds_up",
            ),
            models.CheckConstraint(condition=Q(refunded__gte=0, refunded__lte=F("captured")), name="allocation_refunded"),
        )

    def __str__(self) -> str:
        return f"{self.amount} of {self.lot_id} for {self.payment_id}"


class LastingChange(models.Model):
    """What movements have changed of the available value of a wallet's lasting lots, those that are not DATED.

    Their sum is that of the claims (SealedBalance.lasting and the entries since the last seal) and this, so that a balance
    reads only dated lots one by one, however many credits a user holds.
    """

    pk = models.CompositePrimaryKey("user_id", "currency")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_constraint=False, db_index=False, related_name="+")
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=24, decimal_places=4)

    class Meta:
        triggers: ClassVar = lot_triggers.never_deleted("lasting_change_kept")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class LotBackfill(models.Model):
    """The progress of opening lots for claims from before lots existed; no row when there were none.

    Each UPDATE of `batch_size` opens the lots of that many claims (lot_triggers.lots_backfilled).
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    batch_size = models.PositiveIntegerField(default=0)
    position = models.UUIDField(null=True, help_text="The last entry that has its lot.")
    opened = models.PositiveBigIntegerField(default=0)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        triggers: ClassVar = [lot_triggers.lots_backfilled, *lot_triggers.never_deleted("lot_backfill_kept")]
        constraints = (models.CheckConstraint(condition=Q(batch_size__lte=10_000), name="lot_backfill_batch"),)

    def __str__(self) -> str:
        return f"{self.opened} lots opened"
