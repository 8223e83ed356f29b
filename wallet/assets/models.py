"""Pools and the credits in them, and their issue log and supply counters."""

from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pghistory
import pgtrigger
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Cast, Coalesce, Now, Round
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from kernel.constraint_words import check_constraints
from kernel.model_fields import GeneratedUUIDField, IntervalField, ValidatedCharField
from kernel.readable_text import check_readable
from kernel.refusals import Conflict, NotFound
from kernel.time_zones import time_zones
from kernel.timestamps import format_second
from kernel.uuid7 import uuid7
from wallet.assets import supply_triggers, triggers
from wallet.assets.batches import Batch, BatchSupply, BulkJob  # noqa: F401  (models of this app)
from wallet.assets.bulk_insert import INSERTED_COLUMNS, Row
from wallet.assets.change_history import UpdateWithBefore, history_meta, unindexed_foreign_key
from wallet.assets.constraint_words import NAME_TAKEN, WORDS
from wallet.assets.fields import transaction_id
from wallet.assets.querysets import AssetQuerySet, PoolQuerySet, pool_name_key
from wallet.money import CURRENCIES, MAX_VALUE, NO_DECIMALS, THREE_DECIMALS, check_amount, check_currency

# The number of decimals of the row's currency.
DECIMALS_OF_ROW: Any = Case(
    When(currency__in=NO_DECIMALS, then=Value(0)), When(currency__in=THREE_DECIMALS, then=Value(3)), default=Value(2)
)


class PoolKind(models.TextChoices):
    """The reason why a pool gives credits."""

    SIGNUP = "SIGNUP", "Sign-up bonus"
    REFERRAL = "REFERRAL", "Referral reward"
    PROMOTION = "PROMOTION", "Promotion"


class LimitPeriod(models.TextChoices):
    """The period of a pool's limit per user, by the calendar of its time zone. Weeks begin on Monday."""

    DAY = "DAY", _("Day")
    WEEK = "WEEK", _("Week")
    MONTH = "MONTH", _("Month")


class AssetStatus(models.TextChoices):
    """The life of an asset. CLAIMED and EXPIRED are final for an id. SCHEDULED becomes AVAILABLE at `claimable_from`."""

    SCHEDULED = "SCHEDULED", "Scheduled"
    AVAILABLE = "AVAILABLE", "Available"
    CLAIMED = "CLAIMED", "Claimed"
    EXPIRED = "EXPIRED", "Expired"


class ClawbackReach(models.TextChoices):
    """Which credits a clawback may take from."""

    CREDIT = "CREDIT", "The credit itself"
    WALLET = "WALLET", "Then other credits of the user in this currency"


class AssetNotFound(NotFound):
    code = "not_found"
    meaning = gettext_noop("The credit does not exist, or the caller may not see it.")
    detail = gettext_noop("Credit not found. See the list of available credits.")


class PoolNotFound(NotFound):
    code = "not_found"
    meaning = gettext_noop("The pool does not exist, or the caller may not see it.")
    detail = gettext_noop("Pool not found. See the list of pools.")


class AssetExpired(Conflict):
    code = "asset_expired"
    meaning = gettext_noop("The credit has expired.")
    detail = gettext_noop("This credit has expired and can no longer be claimed. Choose another one.")


def check_time_zone(name: str) -> None:
    """Raise ValidationError unless `name` is an IANA time zone."""
    if name not in time_zones():
        raise ValidationError(f'"{name}" is not a time zone. Use a name such as Asia/Kolkata.', code="time_zone")


def end_of(day: date, time_zone: str = "UTC") -> datetime:
    """Return the start of the day after `day` in the IANA zone `time_zone`."""
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(time_zone))


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(),
    pghistory.DeleteEvent(),
    append_only=True,
    meta=history_meta(_("change of a pool"), _("changes of pools"), "pool_changed"),
)
class CreditPool(models.Model):
    """A named set of assets in one currency, open for a time, with a limit per user."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    name = ValidatedCharField(max_length=100, validators=[check_readable])
    kind = models.CharField(max_length=9, choices=PoolKind.choices)
    currency = ValidatedCharField(max_length=3, validators=[check_currency], help_text="Three-letter currency code, e.g. INR.")
    per_user_limit = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Maximum number of credits per user. Leave blank for no limit."
    )
    period_limit = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Maximum number of credits per user within a period. Leave blank for no limit."
    )
    limit_period = models.CharField(
        max_length=5, choices=LimitPeriod.choices, default=LimitPeriod.DAY, db_default=LimitPeriod.DAY
    )
    opens_at = models.DateTimeField(db_default=Now(), help_text="When claiming starts.")
    closes_at = models.DateTimeField(null=True, blank=True, help_text="When claiming ends. Leave blank for no end.")
    is_active = models.BooleanField(default=True, help_text="Turn off to pause claims and hide the pool.")
    grants_only = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Hide the pool from users: its credits are only granted, by rules, services and operators.",
    )
    time_zone = ValidatedCharField(
        max_length=64, default="UTC", validators=[check_time_zone], help_text="Time zone used for end-of-day expiry."
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Issued on demand: credits of this kind, as far as the budget goes. Without a budget, operators issue the credits.
    budget = models.DecimalField(
        max_digits=24,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Total value of credits to issue when they are needed.",
    )
    credit_title = ValidatedCharField(max_length=200, blank=True, default="", db_default="", validators=[check_readable])
    credit_value = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    credit_lifetime = IntervalField(
        null=True, blank=True, help_text="How long credits can be claimed that are issued on demand. Leave blank for no expiry."
    )

    # What a claim promises. PostgreSQL copies these to the claim's lot, so that a change applies to later claims only.
    pending_for = IntervalField(null=True, blank=True, help_text="Credits can be spent so long after the claim.")
    valid_for = IntervalField(null=True, blank=True, help_text="Credits end so long after they can be spent.")
    ends_with_day = models.BooleanField(
        default=False, db_default=False, help_text="Credits end with that day in the pool's time zone."
    )
    valid_until = models.DateTimeField(null=True, blank=True, help_text="Credits end at this time at the latest (exclusive).")
    draw_priority = models.PositiveSmallIntegerField(
        default=2, db_default=2, help_text="1: spent before other credits, 2: normal, 3: after them."
    )
    service = models.ForeignKey(
        Service, models.PROTECT, null=True, blank=True, related_name="+", help_text="Credits can be spent at this service only."
    )
    refund_grace_days = models.PositiveSmallIntegerField(
        default=14, db_default=14, help_text="A refund to a credit that has ended can be spent for so many days. 0: it lapses."
    )
    clawback_reach = models.CharField(
        max_length=6, choices=ClawbackReach.choices, default=ClawbackReach.CREDIT, db_default=ClawbackReach.CREDIT
    )
    approval_threshold = models.DecimalField(
        max_digits=18,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Issues, grants, clawbacks and extensions worth more need a second operator. Leave blank for none.",
    )

    # Optional annotations of PoolQuerySet.
    is_open: bool
    can_claim: bool
    available: int

    objects: ClassVar[PoolQuerySet] = PoolQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("pool"), _("pools")
        ordering = ("-id",)
        triggers: ClassVar = [*triggers.POOL_RULES, supply_triggers.pool_budget]
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=PoolKind.values), name="pool_kind_known"),
            models.CheckConstraint(condition=Q(currency__in=CURRENCIES), name="pool_currency_known"),
            models.CheckConstraint(condition=Q(per_user_limit=None) | Q(per_user_limit__gte=1), name="pool_limit_positive"),
            models.CheckConstraint(condition=Q(period_limit=None) | Q(period_limit__gte=1), name="pool_period_limit_positive"),
            models.CheckConstraint(condition=Q(limit_period__in=LimitPeriod.values), name="pool_limit_period_known"),
            models.CheckConstraint(
                condition=Q(closes_at=None) | Q(closes_at__gt=F("opens_at")), name="pool_closes_after_opening"
            ),
            # Credits issued on demand have no second operator: together they stay below what needs one.
            models.CheckConstraint(
                condition=Q(budget=None) | Q(approval_threshold=None) | Q(budget__lte=F("approval_threshold")),
                name="pool_budget_below_threshold",
            ),
            # So that a claim need not look at archived_at.
            models.CheckConstraint(condition=Q(archived_at=None) | Q(is_active=False), name="pool_archived_is_paused"),
            models.UniqueConstraint(
                pool_name_key(F("name")),
                name="pool_name_unique",
                violation_error_code="unique",
                violation_error_message=NAME_TAKEN,
            ),
            models.CheckConstraint(
                condition=Q(budget=None)
                | Q(budget__gt=0, budget__lte=MAX_VALUE * 1000)
                & Q(credit_value__isnull=False, credit_value__gt=0, credit_value__lte=MAX_VALUE)
                & ~Q(credit_title=""),
                name="pool_budget_complete",
            ),
            models.CheckConstraint(
                condition=Q(budget=None)
                | Q(budget=Round("budget", DECIMALS_OF_ROW), credit_value=Round("credit_value", DECIMALS_OF_ROW)),
                name="pool_budget_scale",
            ),
            models.CheckConstraint(
                condition=Q(credit_lifetime=None) | Q(credit_lifetime__gt="0 hours"), name="pool_credit_lifetime_possible"
            ),
            models.CheckConstraint(
                condition=(Q(pending_for=None) | Q(pending_for__gte="0 hours"))
                & (Q(valid_for=None) | Q(valid_for__gt="0 hours"))
                & Q(Q(ends_with_day=False) | Q(valid_for__isnull=False)),
                name="pool_validity_possible",
            ),
            models.CheckConstraint(condition=Q(draw_priority__in=(1, 2, 3)), name="pool_draw_priority_known"),
            models.CheckConstraint(condition=Q(refund_grace_days__lte=366), name="pool_refund_grace_bounded"),
            models.CheckConstraint(condition=Q(clawback_reach__in=ClawbackReach.values), name="pool_clawback_reach_known"),
            models.CheckConstraint(
                condition=Q(approval_threshold=None) | Q(approval_threshold__gte=0, approval_threshold__lte=MAX_VALUE),
                name="pool_approval_threshold_range",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise ValidationError with the words of all violated constraints, beside their fields."""
        check_constraints(self, WORDS, exclude)

    def end_of(self, day: date) -> datetime:
        """Return the start of the day after `day` in the pool's time zone: the exclusive end of "until `day`"."""
        return end_of(day, self.time_zone)


# A claim is not tracked here: the ledger records it, once. Nor is the start of a scheduled credit, set when it was issued.
@pghistory.track(
    UpdateWithBefore(
        condition=pgtrigger.Condition(
            "OLD.* IS DISTINCT FROM NEW.* AND NEW.status <> 'CLAIMED'"
            " AND (OLD.status, NEW.status) <> ('SCHEDULED', 'AVAILABLE')"
        )
    ),
    pghistory.DeleteEvent(),
    append_only=True,
    # Set by the issue, and by the claim, after which nothing changes.
    exclude=["claimable_from", "spendable_from", "spendable_until"],
    meta=history_meta(
        _("change of a credit"),
        _("change log"),
        "asset_changed",
        models.Index("xid", "pgh_id", name="asset_change_order"),
    ),
    attrs={
        "claimed_by": unindexed_foreign_key(settings.AUTH_USER_MODEL),
        "created_by": unindexed_foreign_key(settings.AUTH_USER_MODEL),
        "recreated_from": unindexed_foreign_key("assets.CashbackAsset"),
        "batch": unindexed_foreign_key("assets.Batch"),
        "before": models.JSONField(null=True, editable=False),
        "xid": transaction_id(),
    },
)
class CashbackAsset(models.Model):
    """One cashback credit: money that one user may claim once, until it expires."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    title = ValidatedCharField(max_length=200, validators=[check_readable])
    total_value = models.DecimalField(max_digits=18, decimal_places=4)
    currency = ValidatedCharField(
        max_length=3,
        validators=[check_currency],
        help_text="Three-letter currency code, e.g. INR.",
        error_messages={"blank": "Enter a currency such as INR, or choose a pool to use its currency."},
    )
    status = models.CharField(max_length=9, choices=AssetStatus.choices, default=AssetStatus.AVAILABLE, editable=False)
    # db_index=False: an index below begins with the same column.
    pool = models.ForeignKey(CreditPool, models.PROTECT, null=True, blank=True, related_name="assets", db_index=False)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="assets", db_index=False
    )
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    claim_slot = models.PositiveIntegerField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Expiry time (exclusive). Leave blank for no expiry.")
    recreated_from = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="children", db_index=False
    )
    generation = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="issued_assets",
        db_index=False,
    )
    # No index (see Batch), and no foreign key, whose check would slow each inserted row: the insert trigger writes the batch.
    batch = models.ForeignKey(
        Batch,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="assets",
        db_index=False,
        db_constraint=False,
    )

    # A staggered start, set when issued: SCHEDULED until then. NULL: AVAILABLE from the issue on.
    claimable_from = models.DateTimeField(null=True, blank=True, editable=False)
    # When the claimed credit can be spent, set by the claim trigger by the pool's policies. NULL: from the claim on, for ever.
    spendable_from = models.DateTimeField(null=True, blank=True, editable=False)
    spendable_until = models.DateTimeField(null=True, blank=True, editable=False)

    # Optional annotation of AssetQuerySet.
    current_status: str
    # The timeline of the server that this row was read from (kernel.server_timeline); only the lock of a claim reads it.
    server_timeline: str | None = None

    objects: ClassVar[AssetQuerySet] = AssetQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("credit"), _("credits")
        ordering = ("-id",)
        triggers: ClassVar = [*triggers.ASSET_RULES, *supply_triggers.SUPPLY_RULES]
        constraints = (
            models.CheckConstraint(condition=Q(status__in=AssetStatus.values), name="asset_status_known"),
            models.CheckConstraint(
                condition=Q(status="CLAIMED", claimed_by__isnull=False, claimed_at__isnull=False)
                | Q(~Q(status="CLAIMED"), claimed_by=None, claimed_at=None, claim_slot=None),
                name="asset_owner_iff_claimed",
            ),
            models.CheckConstraint(
                condition=Q(claimed_at=None) | Q(expires_at=None) | Q(claimed_at__lt=F("expires_at")),
                name="asset_claimed_before_expiry",
            ),
            models.CheckConstraint(
                condition=Q(claimable_from__isnull=False) | ~Q(status="SCHEDULED"), name="asset_scheduled_for_a_time"
            ),
            models.CheckConstraint(
                condition=Q(claimable_from=None) | Q(expires_at=None) | Q(expires_at__gt=F("claimable_from")),
                name="asset_starts_before_expiry",
            ),
            models.CheckConstraint(
                condition=Q(spendable_until=None) | Q(spendable_until__gt=Coalesce("spendable_from", "claimed_at")),
                name="asset_spendable_for_a_while",
            ),
            models.CheckConstraint(condition=Q(total_value__gt=0, total_value__lte=MAX_VALUE), name="asset_value_range"),
            models.CheckConstraint(
                condition=Q(total_value=Round("total_value", DECIMALS_OF_ROW)),
                name="asset_value_scale",
            ),
            models.CheckConstraint(condition=Q(currency__in=CURRENCIES), name="asset_currency_known"),
            models.CheckConstraint(condition=~Q(title=""), name="asset_title_given"),
            models.CheckConstraint(
                condition=Q(recreated_from=None, generation=1) | Q(recreated_from__isnull=False, generation__gt=1),
                name="asset_generation_counts",
            ),
            models.UniqueConstraint(fields=("pool", "claimed_by", "claim_slot"), name="asset_claim_slot"),
        )
        # A claim writes only to the primary key and the owner's index: the indexes of the lists exclude claimed assets.
        indexes = (
            # Claims from a pool, and its due assets.
            models.Index(
                "pool", F("expires_at").asc(nulls_last=True), "id", condition=Q(status="AVAILABLE"), name="asset_claimable"
            ),
            # The offers of a pool in order (pages.offer_rows).
            models.Index(
                Coalesce("pool", Value(UUID(int=0))),
                Coalesce("expires_at", Cast(Value("infinity"), models.DateTimeField())),
                "title",
                "total_value",
                "currency",
                "id",
                include=("pool", "expires_at"),
                condition=Q(status="AVAILABLE"),
                name="asset_offered",
            ),
            # One per order of the lists; the second also serves the sweep, the last the search.
            models.Index(fields=("status", "id"), condition=~Q(status="CLAIMED"), name="asset_newest"),
            models.Index(fields=("status", "expires_at", "id"), condition=~Q(status="CLAIMED"), name="asset_ending"),
            models.Index(fields=("status", "total_value", "id"), condition=~Q(status="CLAIMED"), name="asset_value"),
            models.Index(fields=("title", "id"), condition=~Q(status="CLAIMED"), name="asset_title"),
            models.Index(fields=("claimed_by", "id"), condition=Q(claimed_by__isnull=False), name="asset_owned"),
            # Credits that start later, by pool or all: whoever opens them reads those that are due and no others.
            models.Index(fields=("claimable_from", "id"), condition=Q(status="SCHEDULED"), name="asset_scheduled"),
            models.Index(
                fields=("pool", "claimable_from", "id"), condition=Q(status="SCHEDULED"), name="asset_scheduled_in_pool"
            ),
            models.Index(fields=("recreated_from",), condition=Q(recreated_from__isnull=False), name="asset_child"),
        )

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Validate value and currency against each other and the pool, with better messages than the constraints'."""
        errors: dict[str, ValidationError] = {}
        if self.pool and self.pool.currency != self.currency:
            errors["currency"] = ValidationError(f"The pool's currency is {self.pool.currency}.", code="currency")
        if self.total_value is not None and self.currency in CURRENCIES:
            try:
                check_amount(self.total_value, self.currency)
            except ValidationError as error:
                errors["total_value"] = error
        if errors:
            raise ValidationError(errors)

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise ValidationError with the words of all violated constraints, beside their fields."""
        check_constraints(self, WORDS, exclude)

    def check_ends_after_opening(self) -> None:
        """Raise ValidationError if the credit could never be claimed, because it ends before its pool opens."""
        opens_at = self.pool.opens_at if self.pool else None
        # A pool that is not inserted yet opens when it is: PostgreSQL sets the time.
        if isinstance(opens_at, datetime) and self.expires_at and self.expires_at <= opens_at:
            message = gettext("The credit would end before its pool opens, on %(opens)s UTC. Choose a later end.")
            opens = {"opens": format_second(opens_at)}
            raise ValidationError({"expires_at": ValidationError(message % opens, code="before_opening")})

    def row(self) -> Row:
        """Return the columns of a new asset (see AssetQuerySet.insert_all)."""
        return [getattr(self, name) for name in INSERTED_COLUMNS]


class Issuance(models.Model):
    """The issue log: one row per statement and group of credits issued, written by the insert trigger; append-only."""

    issued_at = models.DateTimeField(db_default=Now())
    pool = models.ForeignKey(CreditPool, models.PROTECT, null=True, related_name="issuances")
    currency = models.CharField(max_length=3)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    channel = models.CharField(max_length=20)
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="issuances")
    count = models.PositiveIntegerField()
    value = models.DecimalField(max_digits=24, decimal_places=4)
    # The ids that the statement inserted lie in this range; null before there were batches.
    first_id = models.UUIDField(null=True)
    last_id = models.UUIDField(null=True)
    recreated = models.BooleanField(default=False, db_default=False, help_text="Whether the credits replace expired ones.")
    claimable_from = models.DateTimeField(null=True, help_text="When they can first be claimed. Blank: at once.")
    xid = transaction_id()

    class Meta:
        verbose_name, verbose_name_plural = _("issue"), _("issue history")
        ordering = ("-id",)
        triggers: ClassVar = triggers.append_only("issuance_append_only")
        indexes = (
            models.Index(fields=("issued_at",), name="issuance_issued"),
            models.Index("xid", "id", name="issuance_commit_order"),
        )

    def __str__(self) -> str:
        return f"{self.count} credits"


class SupplyDelta(models.Model):
    """A supply counter: the change in number and value of a group of credits (supply_triggers.GROUP), written by triggers.

    The sums over a group are its number of credits and their value, so that no report counts the credits.
    """

    # db_constraint=False: its check would lock the pool's row in every claim. The credits have a foreign key of their own.
    pool = models.ForeignKey(CreditPool, models.PROTECT, null=True, related_name="supply_deltas", db_constraint=False)
    currency = models.CharField(max_length=3)
    generation = models.PositiveIntegerField()
    status = models.CharField(max_length=9, help_text="An asset's status, or DELETED.")
    # Until the next seal, which adds it to BatchSupply. No index, which each claim would have to write.
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False)
    count = models.BigIntegerField()
    value = models.DecimalField(max_digits=24, decimal_places=4)

    class Meta:
        verbose_name, verbose_name_plural = _("supply"), _("supply")

    def __str__(self) -> str:
        return f"{self.count} {self.status}"
