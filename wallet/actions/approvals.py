"""Maker and checker: what is worth more than its pool's threshold becomes a proposal, which another operator decides.

PostgreSQL refuses such an action (ledger.approval_triggers); the action then raises AwaitsApproval with its proposal, so that
no interface can pass it over. `decide_proposal` runs the same action in the transaction of the decision.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import User
from accounts.services import Service
from kernel.refusals import Conflict, Refusal
from kernel.transactions import Busy, atomic_with_retry, violated_constraint
from wallet.actions.proposal_parameters import Parameters
from wallet.assets.change_context import channel
from wallet.assets.models import CreditPool
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.ledger.models import Proposal, ProposalKind, ProposalState

CONSTRAINT = "approval_required"


class ApprovalRequired(Conflict):
    code = "approval_required"
    meaning = _("The action is worth more than its pool's approval threshold and cannot be proposed for approval.")
    detail = _("This is above the pool's approval threshold and can't be proposed for approval. Issue a new credit instead.")


SENTENCES = {
    ProposalState.PENDING: _("This waits for another operator. Nothing has been done yet."),
    ProposalState.APPROVED: _("Another operator has approved this, and it was done."),
    ProposalState.REFUSED: _("Another operator has refused this. Nothing was done."),
    ProposalState.EXPIRED: _("No other operator approved this in time, so nothing was done. Send it again with a new key."),
}


class AwaitsApproval(Exception):
    """The action was not done, and not refused: its proposal waits for another operator, or was decided by one.

    `message` says so in a sentence. The API answers 202 with the proposal, the console leads to it.
    """

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.message = translate(SENTENCES[proposal.state(timezone.now())])
        super().__init__(self.message)


@dataclass(frozen=True)
class Draft:
    """A proposal before it is made.

    Arguments:
        amount: what is compared with the pool's threshold.
        shown: what the proposer sees of it, in words and figures.
        fingerprint: of the request; the same request again is the same proposal.
        request_key: the request's key or reference.
        key_reused: the refusal of another request with the same key.
    """

    kind: ProposalKind
    pool: CreditPool
    amount: Decimal | None
    parameters: Parameters
    shown: dict[str, Any]
    fingerprint: str
    proposed_by: User | None = None
    service: Service | None = None
    request_key: str | None = None
    reason: str = ""
    file: bytes | None = None
    key_reused: type[Refusal] = IdempotencyKeyReused


@contextmanager
def approvals_checked() -> Iterator[None]:
    """Raise ApprovalRequired when PostgreSQL refuses for want of an approval."""
    try:
        yield
    except IntegrityError as error:
        if violated_constraint(error) == CONSTRAINT:
            raise ApprovalRequired from error
        raise


def awaiting_approval(draft: Draft) -> AwaitsApproval:
    """Make the proposal and return AwaitsApproval; without a proposer, who must be known, raise ApprovalRequired."""
    if draft.proposed_by is None and draft.service is None:
        raise ApprovalRequired
    return AwaitsApproval(make_proposal(draft))


@atomic_with_retry(idempotent=True)
def make_proposal(draft: Draft) -> Proposal:
    """Insert the proposal, or return the one that the same request made before. Raises the draft's `key_reused`."""
    if earlier := find_proposal(draft):
        if earlier.fingerprint != draft.fingerprint:
            raise draft.key_reused
        return earlier
    proposal = Proposal(
        kind=draft.kind,
        pool=draft.pool,
        parameters=draft.parameters.as_json(),
        shown=draft.shown,
        amount=draft.amount,
        currency=draft.pool.currency,
        reason=draft.reason,
        file=draft.file,
        proposed_by=draft.proposed_by,
        service=draft.service,
        request_key=draft.request_key,
        fingerprint=draft.fingerprint,
        channel=channel.get(),
    )
    try:
        proposal.save(force_insert=True)
    except IntegrityError as error:
        if violated_constraint(error) == "proposal_request_key":
            raise Busy from error
        raise
    audit.record_event("proposal", "done", draft.proposed_by, change="propose", proposal=str(proposal.pk), kind=draft.kind)
    return Proposal.objects.get(pk=proposal.pk)


def find_proposal(draft: Draft) -> Proposal | None:
    """Return the proposal of the same request: by its key, or, without one, an undecided one of the same contents."""
    proposals = Proposal.objects.filter(kind=draft.kind, proposed_by=draft.proposed_by, service=draft.service)
    if draft.request_key is not None:
        return proposals.filter(request_key=draft.request_key).first()
    pending = proposals.filter(fingerprint=draft.fingerprint, decided_at=None, expires_at__gt=timezone.now())
    return pending.first()
