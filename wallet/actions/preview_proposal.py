"""What the approval of a proposal would do now, without writing; raises what would refuse it, as far as a look can tell."""

from collections.abc import Callable
from typing import Any

from wallet.actions.clawback_credit import preview_clawback
from wallet.actions.decide_proposal import ProposalOutdated, pool_of
from wallet.actions.extend_lot import preview_extension
from wallet.actions.grant_credit import missing_credit
from wallet.actions.issue_assets import last_of
from wallet.actions.proposal_parameters import (
    ClawbackParameters,
    ExtendParameters,
    ImportParameters,
    IssueParameters,
    RecreateParameters,
)
from wallet.actions.recreate_asset import check_recreatable
from wallet.assets.models import AssetNotFound, CashbackAsset
from wallet.ledger.models import Proposal, ProposalKind
from wallet.money import format_amount


def preview_proposal(proposal: Proposal) -> dict[str, Any]:
    """Return figures of what an approval would do now. Raises Refusal or ValidationError."""
    if proposal.currency != pool_of(proposal).currency:
        raise ProposalOutdated
    return PREVIEWS[ProposalKind(proposal.kind)](proposal)


def preview_proposed_grant(proposal: Proposal) -> dict[str, Any]:
    """Return the credit that would be granted."""
    claimable = CashbackAsset.objects.claimable().filter(pool=proposal.pool_id).soonest_expiry_first()
    if (credit := claimable.first()) is None:
        raise missing_credit(pool_of(proposal).pk)
    if proposal.amount is None or credit.total_value > proposal.amount:
        raise ProposalOutdated
    return {"credit": credit.title, "amount": format_amount(credit.total_value, credit.currency)}


def preview_proposed_clawback(proposal: Proposal) -> dict[str, Any]:
    """Return what would be taken now, and what as it comes back."""
    request = ClawbackParameters.from_json(proposal.parameters)
    return preview_clawback(request.claim, request.amount, proposal.service)


def preview_proposed_extension(proposal: Proposal) -> dict[str, Any]:
    """Return what could be spent until when."""
    request = ExtendParameters.from_json(proposal.parameters)
    return preview_extension(request.claim, request.until, proposal.service)


def preview_proposed_issue(proposal: Proposal) -> dict[str, Any]:
    """Return how many credits would be issued, and their worth."""
    request = IssueParameters.from_json(proposal.parameters)
    asset, _starts = last_of(None, pool_of(proposal), count=request.count, **request.credit_fields())
    return {"count": request.count, "amount": format_amount(request.count * asset.total_value, asset.currency)}


def preview_proposed_recreation(proposal: Proposal) -> dict[str, Any]:
    """Return the worth of the new credit."""
    request = RecreateParameters.from_json(proposal.parameters)
    parent = CashbackAsset.objects.with_current_status().filter(pk=request.parent).first()
    if parent is None:
        raise AssetNotFound
    check_recreatable(parent, request.again)
    return {"credit": request.title, "amount": format_amount(request.total_value, proposal.currency)}


def preview_proposed_import(proposal: Proposal) -> dict[str, Any]:
    """Return how many credits the file has. The file itself is checked again when it is imported."""
    return {"count": ImportParameters.from_json(proposal.parameters).count}


def preview_proposed_threshold(proposal: Proposal) -> dict[str, Any]:
    """Return the threshold now and then."""
    now = pool_of(proposal).approval_threshold
    amounts = {"threshold": now, "new_threshold": proposal.amount}
    return {name: value if value is None else format_amount(value, proposal.currency) for name, value in amounts.items()}


PREVIEWS: dict[ProposalKind, Callable[[Proposal], dict[str, Any]]] = {
    ProposalKind.GRANT: preview_proposed_grant,
    ProposalKind.CLAWBACK: preview_proposed_clawback,
    ProposalKind.EXTEND: preview_proposed_extension,
    ProposalKind.ISSUE: preview_proposed_issue,
    ProposalKind.RECREATE: preview_proposed_recreation,
    ProposalKind.IMPORT: preview_proposed_import,
    ProposalKind.THRESHOLD: preview_proposed_threshold,
}
