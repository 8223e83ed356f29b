"""The ledger: entries, seals and sealed balances, all append-only or written by triggers; and idempotency keys."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from kernel.model_fields import GeneratedUUIDField
from kernel.timestamps import format_timestamp
from kernel.uuid7 import uuid7
from wallet.assets.models import CashbackAsset
from wallet.assets.triggers import append_only
from wallet.ledger import approval_triggers, key_ring, lot_triggers, triggers
from wallet.ledger.fields import TransactionIdField
from wallet.ledger.lots import Allocation, LastingChange, Lot, LotBackfill, Payment
from wallet.ledger.movements import Grant, Lapse, Movement, Posting
from wallet.ledger.proposals import GovernedIssuance, GovernedPool, Proposal, ProposalKind, ProposalState
from wallet.ledger.querysets import EntryQuerySet, SealQuerySet
from wallet.ledger.seal_shape import SHAPE
from wallet.money import CURRENCIES, MAX_VALUE, format_amount

__all__ = [
    "Allocation",
    "ClaimedAsset",
    "Entry",
    "EntryKind",
    "GovernedIssuance",
    "GovernedPool",
    "Grant",
    "IdempotencyKey",
    "Lapse",
    "LastingChange",
    "Lot",
    "LotBackfill",
    "Movement",
    "Payment",
    "Posting",
    "Proposal",
    "ProposalKind",
    "ProposalState",
    "Seal",
    "SealedBalance",
]


class EntryKind(models.TextChoices):
    """The kind of movement that an entry records."""

    CLAIM = "CLAIM", "Claim"


class Entry(models.Model):
    """One immutable row of the ledger: a claim. `claimed_at` is its time by the database's clock, `xid` its transaction."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=5, choices=EntryKind.choices, default=EntryKind.CLAIM)
    # db_index=False: an index below begins with the same column, or no query uses it.
    asset = models.ForeignKey(CashbackAsset, models.PROTECT, related_name="entries", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="entries", db_index=False)
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    currency = models.CharField(max_length=3)
    claimed_at = models.DateTimeField()
    # When the credit can be spent, as the claim trigger set it on the asset. NULL: from the claim on, for ever.
    spendable_from = models.DateTimeField(null=True, editable=False)
    spendable_until = models.DateTimeField(null=True, editable=False)
    request_key = models.CharField(max_length=64, null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False, help_text="The user who made the request."
    )
    xid = TransactionIdField(db_default=Func(function="pg_current_xact_id"), editable=False)

    objects: ClassVar[EntryQuerySet] = EntryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("entry"), _("ledger")
        ordering = ("-id",)
        triggers: ClassVar = [
            *append_only("entry_append_only"),
            triggers.entry_equals_asset,
            lot_triggers.lots_opened,
        ]
        constraints = (
            # Without a condition, so that the look-up of an asset's entry can use it: each entry is a claim.
            models.UniqueConstraint("asset", name="entry_one_claim_per_asset"),
            models.UniqueConstraint(fields=("user", "request_key"), name="entry_request_key"),
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="entry_kind_known"),
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MAX_VALUE), name="entry_amount_range"),
            models.CheckConstraint(condition=Q(currency__in=CURRENCIES), name="entry_currency_known"),
        )
        indexes = (
            models.Index(fields=("user", "-claimed_at", "-id"), name="entry_history"),
            models.Index(fields=("-claimed_at", "-id"), name="entry_newest"),
            # Index-only scan: the entries since the last seal, which a balance adds to the sealed balance.
            models.Index(fields=("user", "xid"), include=("currency", "amount"), name="entry_balance"),
            models.Index("xid", "id", name="entry_commit_order"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {format_amount(self.amount, self.currency)} {self.currency}"

    def receipt(self) -> dict[str, Any]:
        """Return the claim in JSON types: the body of the API's response, stored for retries."""
        return {
            "id": str(self.id),
            "asset": str(self.asset_id),
            "title": self.asset.title,
            "amount": format_amount(self.amount, self.currency),
            "currency": self.currency,
            "claimed_at": format_timestamp(self.claimed_at),
        }


class ClaimedAsset(CashbackAsset):
    """An asset seen from the ledger: a proxy that adds the rule between a claimed asset and its entry to the table."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = _("credit"), _("ownership")
        triggers: ClassVar = [triggers.claimed_has_entry, approval_triggers.value_kept]


class IdempotencyKey(models.Model):
    """The stored response of a request, so that a retry gets the same response. Kept 7 days.

    The table is a ring of key_ring.PARTITIONS partitions, one a week: a partition is emptied as a whole before its turn
    comes again. A partition has its primary key; the trigger keeps a key single over all of them (ADR 32).
    """

    pk = models.CompositePrimaryKey("user_id", "route", "key")
    # No foreign keys: with them, emptying a partition would lock users and entries. Invariant I7 compares the entries. The user
    # is the caller: a service for the grants of a service.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(null=True, help_text="JSON text, byte for byte: jsonb would reorder it.")
    entry = models.ForeignKey(Entry, models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False)
    created_at = models.DateTimeField(db_default=Now())
    partition_number = models.SmallIntegerField(
        db_default=Func(template=key_ring.THIS_WEEK, output_field=models.SmallIntegerField()), editable=False
    )

    class Meta:
        triggers: ClassVar = [key_ring.key_once]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class Seal(models.Model):
    """A signed Merkle root over a closed range of transactions, which makes any later change of their entries detectable.

    Covers the entries with `from_xid` <= xid < `to_xid` in the order (xid, id). `leaves` holds 48 bytes per entry, its id and
    its leaf hash: the checker can name a changed row, and a proof reads no other row.
    """

    seq = models.PositiveBigIntegerField(primary_key=True)
    previous_root = models.BinaryField(max_length=32)
    root = models.BinaryField(max_length=32)
    from_xid = TransactionIdField()
    to_xid = TransactionIdField()
    count = models.PositiveIntegerField()
    sums = models.TextField(help_text="JSON: the exact sum of the claims per currency.")
    # Version 2 covers movements too, and states their sums per currency and kind, and the balance of each account afterwards.
    version = models.PositiveSmallIntegerField(default=1, db_default=1)
    kinds = models.TextField(null=True)
    position = models.TextField(null=True)
    sealed_at = models.DateTimeField()
    public_key = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    leaves = models.BinaryField()

    # Annotations of SealQuerySet.whatever_shape.
    is_well_formed: bool
    readable_sealed_at: datetime

    objects: ClassVar[SealQuerySet] = SealQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("seal"), _("seals")
        ordering = ("-seq",)
        triggers: ClassVar = [*append_only("seal_append_only"), triggers.follows, triggers.balances_added]
        constraints = (
            *(models.CheckConstraint(condition=condition, name=name) for name, condition in SHAPE.items()),
            models.UniqueConstraint(fields=("from_xid",), name="seal_no_fork"),
        )

    def __str__(self) -> str:
        return f"seal {self.seq}"


class SealedBalance(models.Model):
    """The sum of a user's sealed entries in one currency, written by the trigger of each seal.

    A balance is the sealed balance and the entries since the last seal, however many entries came before. `lasting` is the part
    of the claims that could be spent at once and never end (see Lot).
    """

    pk = models.CompositePrimaryKey("user_id", "currency")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    claims = models.PositiveBigIntegerField()
    lasting = models.DecimalField(max_digits=24, decimal_places=4, db_default=0)

    def __str__(self) -> str:
        return f"{format_amount(self.amount, self.currency)} {self.currency}"
