"""Proposals as operators see them."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from wallet.ledger.models import Proposal, ProposalState

# The condition of each state, by the database's clock.
IN_STATE = {
    ProposalState.PENDING: Q(decided_at=None, expires_at__gt=Now()),
    ProposalState.APPROVED: Q(approved=True),
    ProposalState.REFUSED: Q(approved=False),
    ProposalState.EXPIRED: Q(decided_at=None, expires_at__lte=Now()),
}


def listed_proposals() -> QuerySet[Proposal]:
    """Return the proposals with their people, pools and the database's time, without their files."""
    related = Proposal.objects.select_related("proposed_by", "service", "decided_by", "pool")
    return related.defer("file").annotate(now=Now())


def count_waiting() -> int:
    """Return the number of proposals that wait for an operator."""
    return Proposal.objects.filter(IN_STATE[ProposalState.PENDING]).count()


def decision_of(result: UUID) -> Any:
    """Return the approved proposal whose result it is; None without one."""
    return listed_proposals().filter(result=result, approved=True).exclude(kind="THRESHOLD").first()
