"""The programme: rules that grant, what is due by them, events that services report, and referrals.

Dues and referrals are written by triggers in the transaction of the event (wallet.programme.triggers); a grant marks its due.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import Service
from kernel.constraint_words import check_constraints
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7
from wallet.assets.models import CreditPool
from wallet.assets.triggers import append_only
from wallet.ledger.fields import TransactionIdField
from wallet.ledger.lot_triggers import never_deleted
from wallet.ledger.models import Entry, Grant, Payment
from wallet.ledger.movements import REFERENCE
from wallet.money import CURRENCIES
from wallet.programme import triggers
from wallet.programme.constraint_words import WORDS
from wallet.programme.events import EVENT_NAME, GRANT_REFERENCE, PAID, GrantEvent, HeldFor
from wallet.programme.querysets import GrantDueQuerySet, GrantRuleQuerySet, ReferralQuerySet


class GrantRule(models.Model):
    """A credit of the pool for everybody to whom the event happens while the rule is active.

    What it grants and what for is fixed: an event counts once per rule. Its name, its cap and whether it is active may change.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True)
    pool = models.ForeignKey(CreditPool, models.PROTECT, related_name="rules")
    event = models.CharField(max_length=20, choices=GrantEvent.choices)
    event_name = models.CharField(
        max_length=50, blank=True, default="", help_text=_("The name that services report, e.g. review.written.")
    )
    minimum_amount = models.DecimalField(
        max_digits=18, decimal_places=4, null=True, blank=True, help_text=_("Of the payment. Leave blank for any amount.")
    )
    currency = models.CharField(max_length=3, blank=True, default="", help_text=_("Of the minimum amount, e.g. INR."))
    per_person_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Most credits that one person can get from this rule. Leave blank for no limit.")
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Turn off to pause. No credits become due or are granted until it is on again.")
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_index=False, related_name="+", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # Optional annotations of GrantRuleQuerySet.
    is_open: bool
    has_supply: bool

    objects: ClassVar[GrantRuleQuerySet] = GrantRuleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("rule"), _("rules")
        ordering = ("-id",)
        triggers: ClassVar = [*never_deleted("rule_kept"), triggers.rule_same]
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="rule_name_given"),
            models.CheckConstraint(condition=Q(event__in=GrantEvent.values), name="rule_event_known"),
            models.CheckConstraint(
                condition=Q(event=GrantEvent.REPORTED, event_name__regex=EVENT_NAME)
                | Q(~Q(event=GrantEvent.REPORTED), event_name=""),
                name="rule_event_name_of_report",
            ),
            models.CheckConstraint(
                condition=Q(minimum_amount=None, currency="")
                | Q(minimum_amount__gt=0, currency__in=CURRENCIES, event__in=PAID),
                name="rule_minimum_of_payment",
            ),
            models.CheckConstraint(condition=Q(per_person_cap=None) | Q(per_person_cap__gte=1), name="rule_cap_positive"),
        )

    def __str__(self) -> str:
        return self.name

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise ValidationError with the words of all violated constraints, beside their fields."""
        check_constraints(self, WORDS, exclude)


class GrantDue(models.Model):
    """One credit that a rule owes a person, once per rule and reference: the person, the friend or the reported event.

    It is granted once `entry` is there. Until then `refusal` is why the last try was refused, and `next_try_at` when the next
    one may be: NULL while the referral waits for an operator, and once the payment was refunded. `payment` is the one that
    earned it, which the trigger writes.
    """

    rule = models.ForeignKey(GrantRule, models.PROTECT, related_name="dues", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="dues", db_index=False)
    reference = models.UUIDField()
    friend = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="due_to_referrer")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="dues", db_constraint=False, db_index=False)
    created_at = models.DateTimeField(db_default=Now())
    entry = models.OneToOneField(Entry, models.PROTECT, null=True, related_name="due")
    granted_at = models.DateTimeField(null=True)
    cap_slot = models.PositiveIntegerField(
        null=True, help_text="The number of this grant among those of the rule to the person."
    )
    attempts = models.PositiveIntegerField(db_default=0)
    refusal = models.CharField(max_length=40, blank=True, db_default="")
    next_try_at = models.DateTimeField(null=True, db_default=Now())

    # Optional annotation of GrantDueQuerySet.
    state: str

    objects: ClassVar[GrantDueQuerySet] = GrantDueQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("due credit"), _("due credits")
        ordering = ("-id",)
        triggers: ClassVar = [*never_deleted("due_kept"), triggers.due_same, triggers.due_final]
        constraints = (
            models.UniqueConstraint(fields=("rule", "reference"), name="due_once"),
            models.UniqueConstraint(fields=("rule", "user", "cap_slot"), name="due_cap_slot"),
            models.CheckConstraint(
                condition=Q(entry=None, granted_at=None, cap_slot=None)
                | Q(entry__isnull=False, granted_at__isnull=False, cap_slot__isnull=False),
                name="due_granted_whole",
            ),
        )
        indexes = (
            models.Index(fields=("rule", "next_try_at", "id"), condition=Q(entry=None), name="due_waiting"),
            models.Index(fields=("user", "-id"), name="due_of_user"),
            models.Index(fields=("payment",), condition=Q(payment__isnull=False), name="due_of_payment"),
        )

    def __str__(self) -> str:
        return self.grant_reference

    @property
    def grant_reference(self) -> str:
        """The reference of its grant, which makes it happen once."""
        return GRANT_REFERENCE.format(rule=self.rule_id, reference=self.reference)


class RefundCursor(models.Model):
    """One row: up to which transaction the ledger was read for refunds of payments that earned a credit."""

    xid = TransactionIdField()

    def __str__(self) -> str:
        return str(self.xid)


class ReportedEvent(models.Model):
    """Something that happened to a person elsewhere, as a service reported it; immutable."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    service = models.ForeignKey(Service, models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=50)
    reference = models.CharField(max_length=100, help_text="The service's name of the event.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reported_events")
    occurred_at = models.DateTimeField(null=True, help_text="As the service says.")
    reported_at = models.DateTimeField(db_default=Now(), editable=False)
    request_key = models.CharField(max_length=64, null=True)

    class Meta:
        ordering = ("-id",)
        triggers: ClassVar = [*append_only("event_append_only"), triggers.reported]
        constraints = (
            models.UniqueConstraint(fields=("service", "reference"), name="event_reference"),
            models.UniqueConstraint(fields=("service", "request_key"), name="event_request_key"),
            models.CheckConstraint(condition=Q(name__regex=EVENT_NAME), name="event_name_given"),
            models.CheckConstraint(condition=Q(reference__regex=REFERENCE), name="event_reference_given"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.reference}"


class ReferralCode(models.Model):
    """The code with which a person invites friends: one per person, for ever."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="referral_code")
    code = models.CharField(max_length=8, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers: ClassVar = append_only("referral_code_append_only")
        constraints = (models.CheckConstraint(condition=Q(code__regex=r"^[2-9A-HJ-NP-TV-Z]{8}$"), name="referral_code_form"),)

    def __str__(self) -> str:
        return self.code


class Referral(models.Model):
    """Who invited a person: whoever's code came with the registration, for ever.

    `network` is a keyed digest of the address from which the friend registered. A referral that is held earns nothing until an
    operator has approved it; one that was refused earns nothing at all.
    """

    friend = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="referral")
    referrer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="referrals", db_index=False)
    network = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    held_for = models.CharField(max_length=7, choices=HeldFor.choices, blank=True)
    is_approved = models.BooleanField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+")
    decided_at = models.DateTimeField(null=True)

    objects: ClassVar[ReferralQuerySet] = ReferralQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("referral"), _("referrals")
        ordering = ("-created_at",)
        triggers: ClassVar = [*never_deleted("referral_kept"), triggers.decided]
        constraints = (
            models.CheckConstraint(condition=~Q(friend=F("referrer")), name="referral_not_oneself"),
            models.CheckConstraint(condition=Q(held_for__in=("", *HeldFor.values)), name="referral_held_for_known"),
            models.CheckConstraint(
                condition=Q(is_approved=None, decided_by=None, decided_at=None)
                | Q(~Q(held_for=""), is_approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
                name="referral_decided_by_somebody",
            ),
        )
        indexes = (
            models.Index(fields=("referrer", "-created_at"), name="referral_of_referrer"),
            models.Index(fields=("created_at",), condition=~Q(held_for="") & Q(is_approved=None), name="referral_undecided"),
        )

    def __str__(self) -> str:
        return f"{self.friend_id} by {self.referrer_id}"


class RegisteredUser(User):
    """A user seen from the programme: a proxy that adds the triggers of registration and verification to the table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [triggers.registered, triggers.verified, triggers.referred]


class CapturedPayment(Payment):
    """A payment seen from the programme: a proxy that adds the trigger of a person's first payment to the table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [triggers.paid]


class RuleGrant(Grant):
    """A grant seen from the programme: a proxy that adds the rule between a grant and what was due to the table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [triggers.granted]
