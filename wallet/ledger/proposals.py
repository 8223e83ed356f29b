"""Proposals: what an operator or a service asked for and another operator decides. Triggers hold the rules."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.services import Service
from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7
from wallet.assets.models import CreditPool, Issuance
from wallet.ledger import approval_triggers
from wallet.ledger.fields import TransactionIdField
from wallet.money import CURRENCIES

MAX_FILE_BYTES = 1024 * 1024
MAX_REASON_LENGTH = 200


class ProposalKind(models.TextChoices):
    """What is proposed."""

    ISSUE = "ISSUE", _("Issue credits")
    RECREATE = "RECREATE", _("Recreate a credit")
    IMPORT = "IMPORT", _("Import credits")
    GRANT = "GRANT", _("Grant a credit")
    CLAWBACK = "CLAWBACK", _("Claw back a credit")
    EXTEND = "EXTEND", _("Extend a credit")
    THRESHOLD = "THRESHOLD", _("Change the approval threshold")


class ProposalState(models.TextChoices):
    """The life of a proposal, derived from its decision and its expiry. All but the first are final."""

    PENDING = "PENDING", _("Pending")
    APPROVED = "APPROVED", _("Approved")
    REFUSED = "REFUSED", _("Refused")
    EXPIRED = "EXPIRED", _("Expired")


DECISION = ("decided_by", "decided_at", "decided_xid", "approved", "decision_reason", "result")
DECIDED_TOGETHER = Q(decided_by=None, decided_at=None, decided_xid=None, approved=None, decision_reason=None) | Q(
    decided_by__isnull=False,
    decided_at__isnull=False,
    decided_xid__isnull=False,
    approved__isnull=False,
    decision_reason__isnull=False,
)


class Proposal(models.Model):
    """One action that waits for a second person, or was decided by one. PostgreSQL sets its times.

    Only the decision is ever written, once, in the transaction of the action. `result` is what an approved proposal made: the
    id of the grant's claim, of the movement, of the batch, or of the pool. So the audit trail of a movement names who proposed
    it (its actor) and who decided (this row).
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=9, choices=ProposalKind.choices)
    pool = models.ForeignKey(CreditPool, models.PROTECT, null=True, related_name="proposals")
    parameters = models.JSONField(help_text="What the action is called with.")
    shown = models.JSONField(help_text="What the proposer was shown of it.")
    amount = models.DecimalField(max_digits=24, decimal_places=4, null=True, help_text="NULL: the threshold is removed.")
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=20, blank=True)
    file = models.BinaryField(null=True, help_text="The imported file; NULL if it was too large to keep.")
    # NULL: a service proposed it.
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+")
    service = models.ForeignKey(Service, models.PROTECT, null=True, db_index=False, related_name="+")
    request_key = models.CharField(max_length=100, null=True, help_text="The request's key, or the grant's reference.")
    fingerprint = models.CharField(max_length=64)
    channel = models.CharField(max_length=20)
    proposed_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)

    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+")
    decided_at = models.DateTimeField(null=True, editable=False)
    decided_xid = TransactionIdField(null=True, editable=False)  # type: ignore[misc]
    approved = models.BooleanField(null=True)
    decision_reason = models.CharField(max_length=MAX_REASON_LENGTH, null=True)
    result = models.UUIDField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("proposal"), _("approvals")
        ordering = ("-id",)
        triggers: ClassVar = approval_triggers.PROPOSAL_RULES
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=ProposalKind.values), name="proposal_kind_known"),
            models.CheckConstraint(condition=Q(proposed_by=None) ^ Q(service=None), name="proposal_by_one"),
            models.CheckConstraint(
                condition=Q(decided_by=None) | Q(proposed_by=None) | ~Q(decided_by=F("proposed_by")),
                name="proposal_decided_by_another",
            ),
            models.CheckConstraint(condition=DECIDED_TOGETHER, name="proposal_decided_whole"),
            models.CheckConstraint(
                condition=Q(approved=True, result__isnull=False)
                | Q(approved=False, result=None)
                | Q(approved=None, result=None),
                name="proposal_result_if_approved",
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0) | Q(kind="THRESHOLD", amount=None) | Q(kind="THRESHOLD", amount__gte=0),
                name="proposal_amount_positive",
            ),
            models.CheckConstraint(condition=Q(kind="IMPORT") | Q(pool__isnull=False, file=None), name="proposal_of_pool"),
            models.CheckConstraint(condition=Q(currency__in=CURRENCIES), name="proposal_currency_known"),
            models.UniqueConstraint(
                fields=("proposed_by", "service", "kind", "request_key"),
                condition=Q(request_key__isnull=False),
                nulls_distinct=False,
                name="proposal_request_key",
            ),
            models.UniqueConstraint(
                fields=("result",), condition=Q(result__isnull=False) & ~Q(kind="THRESHOLD"), name="proposal_result"
            ),
        )
        indexes = (models.Index(F("id"), condition=Q(decided_at=None), name="proposal_undecided"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    def state(self, now: datetime) -> ProposalState:
        """Return the state at `now`."""
        if self.decided_at is not None:
            return ProposalState.APPROVED if self.approved else ProposalState.REFUSED
        return ProposalState.EXPIRED if self.expires_at <= now else ProposalState.PENDING


class GovernedPool(CreditPool):
    """A pool seen from the ledger: a proxy that adds the rule of its approval threshold to the table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [approval_triggers.threshold_approved]


class GovernedIssuance(Issuance):
    """A line of the issue log seen from the ledger: a proxy that adds the rule of approvals to the table."""

    class Meta:
        proxy = True
        triggers: ClassVar = [approval_triggers.issue_approved]
