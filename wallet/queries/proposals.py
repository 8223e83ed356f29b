"""Proposals as operators see them."""

from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from wallet.ledger.models import Movement, Proposal, ProposalState

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


def decisions_of_claim(entry_id: UUID) -> list[Proposal]:
    """Return the approved proposals that granted, clawed back or extended a claim, oldest first."""
    movements = Movement.objects.filter(claim=entry_id).values_list("pk", flat=True)
    return list(listed_proposals().filter(result__in=[entry_id, *movements]).order_by("pk"))
