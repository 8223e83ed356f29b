"""Decide a proposal: another operator refuses it, or approves it, and then the action is done in the same transaction."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import User
from kernel.readable_text import check_readable, normal_text
from kernel.refusals import Conflict, Forbidden, NotFound, Refusal
from kernel.transactions import atomic_with_retry, violated_constraint
from kernel.uuid7 import uuid7
from wallet.actions.approvals import ApprovalRequired
from wallet.actions.clawback_credit import make_clawback
from wallet.actions.edit_pool import write_update
from wallet.actions.extend_lot import make_extension
from wallet.actions.grant_credit import make_grant
from wallet.actions.import_csv import Contents, CreditFile, insert_file
from wallet.actions.issue_assets import issue_many
from wallet.actions.proposal_parameters import (
    ClawbackParameters,
    ExtendParameters,
    GrantParameters,
    ImportParameters,
    IssueParameters,
    RecreateParameters,
    ThresholdParameters,
)
from wallet.actions.recreate_asset import make_child
from wallet.assets.batches import BatchHeader
from wallet.assets.models import CreditPool
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotentRequest, StoredResponse
from wallet.ledger.models import Proposal, ProposalKind
from wallet.ledger.proposals import MAX_REASON_LENGTH


class ProposalNotFound(NotFound):
    code = "not_found"
    meaning = _("The proposal does not exist.")
    detail = _("Proposal not found. See the list of proposals.")


class ProposalDecided(Conflict):
    code = "proposal_decided"
    meaning = _("The proposal was already approved or refused, and a decision cannot be changed.")
    detail = _("This proposal was already decided, and its decision is final. Make a new one if needed.")


class ProposalExpired(Conflict):
    code = "proposal_expired"
    meaning = _("The proposal expired before it was decided.")
    detail = _("This proposal has expired. Make a new one.")


class OwnProposal(Forbidden):
    code = "own_proposal"
    meaning = _("The caller, or a service whose key the caller created, made the proposal, so another operator must decide it.")
    detail = _("You can't decide this proposal: you, or a service whose key you created, made it. Ask another operator.")


class ProposalOutdated(Conflict):
    code = "proposal_outdated"
    meaning = _("The proposal can no longer be carried out as shown, because something has changed since it was made.")
    detail = _("Something has changed since this was proposed, so it can't be done as shown. Refuse it and make a new one.")


class FileMissing(Conflict):
    code = "file_missing"
    meaning = _("The proposed file was too large to store, so the operator who approves it must supply it.")
    detail = _("This file is too large for the console. Approve it with manage.py approvals approve ID --file FILE.")


REFUSAL_BY_CONSTRAINT: dict[str, type[Refusal]] = {
    "proposal_decided": ProposalDecided,
    "proposal_expired": ProposalExpired,
    "proposal_decided_by_another": OwnProposal,
    "proposal_decided_by_operator": OwnProposal,
    "proposal_carried_out": ProposalOutdated,
}


def approve_proposal(proposal_id: UUID, decider: User, reason: str = "", file: Path | None = None) -> Proposal:
    """Approve a proposal and do what it proposes, in one transaction; return it. Again by the same operator: as it is.

    Arguments:
        reason: why, up to 200 characters.
        file: the file of an import that was too large to keep.

    Raises ProposalNotFound, ProposalDecided, ProposalExpired, OwnProposal, ProposalOutdated, FileMissing, FileChanged, and as
    the action does; the proposal then stays undecided.
    """
    return decide(proposal_id, decider, approved=True, reason=reason, file=file)


def refuse_proposal(proposal_id: UUID, decider: User, reason: str) -> Proposal:
    """Refuse a proposal, with a reason, and return it. Again by the same operator: as it is.

    Raises ProposalNotFound, ProposalDecided, ProposalExpired, OwnProposal, ValidationError.
    """
    return decide(proposal_id, decider, approved=False, reason=reason, file=None)


def decide(proposal_id: UUID, decider: User, *, approved: bool, reason: str, file: Path | None) -> Proposal:
    """Decide a proposal and record it in the audit log, the refusal of a decision too."""
    reason = checked_reason(reason, required=not approved)
    details = {"proposal": str(proposal_id), "change": "approve" if approved else "refuse"}
    with audit.recording_refusal("proposal", decider, **details):
        proposal = decide_at_once(proposal_id, decider, approved=approved, reason=reason, file=file)
    audit.record_event("proposal", "done", decider, **details, kind=proposal.kind)
    return proposal


def checked_reason(reason: str, *, required: bool) -> str:
    """Return the reason in its normal form; raise ValidationError."""
    text = normal_text(reason)
    if required and not text:
        raise ValidationError({"reason": ValidationError("Give a reason.", code="required")})
    if len(text) > MAX_REASON_LENGTH:
        raise ValidationError({"reason": ValidationError(f"Use at most {MAX_REASON_LENGTH} characters.", code="max_length")})
    check_readable(text)
    return text


@atomic_with_retry(idempotent=True)
def decide_at_once(proposal_id: UUID, decider: User, *, approved: bool, reason: str, file: Path | None) -> Proposal:
    """Write the decision, then do what was approved, in one transaction."""
    proposal = lock_proposal(proposal_id)
    if proposal.decided_at is not None:
        if (proposal.decided_by_id, proposal.approved) != (decider.pk, approved):
            raise ProposalDecided
        return proposal
    if decider.pk == proposal.proposed_by_id or not decider.is_admin:
        raise OwnProposal
    with refusals_of_decisions():
        proposal.result = (proposal.pool_id if proposal.kind == ProposalKind.THRESHOLD else uuid7()) if approved else None
        decision = {"decided_by": decider, "approved": approved, "decision_reason": reason, "result": proposal.result}
        Proposal.objects.filter(pk=proposal.pk).update(**decision)
        if approved:
            check_proposer(proposal)
            CARRY_OUT[ProposalKind(proposal.kind)](proposal, file)
            check_constraints_now()
    return Proposal.objects.select_related("proposed_by", "service", "decided_by", "pool").get(pk=proposal.pk)


def lock_proposal(proposal_id: UUID) -> Proposal:
    """Return the proposal, locked; raise ProposalNotFound."""
    locked = Proposal.objects.select_for_update(no_key=True, of=("self",)).select_related("proposed_by", "service", "pool")
    proposal = locked.filter(pk=proposal_id).first()
    if proposal is None:
        raise ProposalNotFound
    return proposal


def check_proposer(proposal: Proposal) -> None:
    """Raise ProposalOutdated unless who proposed it could still ask for it, in the currency in which it was shown."""
    operator, service = proposal.proposed_by, proposal.service
    may_ask = operator.is_admin if operator else service is not None and service.is_active
    if not may_ask or proposal.currency != pool_of(proposal).currency:
        raise ProposalOutdated


def check_constraints_now() -> None:
    """Check the deferred rules now, so that their refusals can be told."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@contextmanager
def refusals_of_decisions() -> Iterator[None]:
    """Translate what PostgreSQL, or the action, refuses because the proposal no longer fits."""
    try:
        yield
    except ApprovalRequired as required:
        raise ProposalOutdated from required
    except IntegrityError as error:
        if refusal := REFUSAL_BY_CONSTRAINT.get(violated_constraint(error)):
            raise refusal from error
        raise


def pool_of(proposal: Proposal) -> CreditPool:
    """Return the pool of the proposal."""
    assert proposal.pool is not None
    return proposal.pool


# --- What each kind does, as its proposer, within the transaction of the decision ---------------------------------------


def carry_out_grant(proposal: Proposal, _file: Path | None) -> None:
    """Grant the credit."""
    request = GrantParameters.from_json(proposal.parameters)
    user = User.objects.get(pk=request.user)
    make_grant(user, pool_of(proposal).pk, request, proposal.proposed_by, proposal.service, entry_id=proposal.result)


def carry_out_clawback(proposal: Proposal, _file: Path | None) -> None:
    """Claw the amount back that was shown."""
    request = ClawbackParameters.from_json(proposal.parameters)
    make_clawback(
        request.claim,
        proposal.fingerprint,
        reason=request.reason,
        amount=request.amount,
        note_digest=request.note_digest,
        actor=proposal.proposed_by,
        service=proposal.service,
        key=proposal.request_key,
        movement_id=proposal.result,
    )


def carry_out_extension(proposal: Proposal, _file: Path | None) -> None:
    """Extend the claimed credit."""
    request = ExtendParameters.from_json(proposal.parameters)
    make_extension(request, proposal.proposed_by, proposal.service, proposal.request_key, movement_id=proposal.result)


def carry_out_issue(proposal: Proposal, _file: Path | None) -> None:
    """Issue the credits, and answer the request's repetitions. Raises ProposalOutdated if the request was carried out."""
    request = IssueParameters.from_json(proposal.parameters)
    proposer, fields, keyed = proposal.proposed_by, request.credit_fields(), None
    if proposer and proposal.request_key:
        keyed = IdempotentRequest(proposer, "issue", proposal.request_key, proposal.fingerprint)
        if not idempotency.reserve_keys([keyed]):  # sent again under a higher threshold
            raise ProposalOutdated
    issued = issue_many(proposer, pool_of(proposal), count=request.count, batch_id=proposal.result, **fields)
    if keyed:
        body = {"issued": issued.count, "batch": str(issued.batch)}
        idempotency.store_responses([(keyed, StoredResponse(201, body), None)])


def carry_out_recreation(proposal: Proposal, _file: Path | None) -> None:
    """Recreate the credit."""
    request = RecreateParameters.from_json(proposal.parameters)
    make_child(
        request.parent,
        proposal.proposed_by,
        title=request.title,
        total_value=request.total_value,
        expires_at=request.expires_at,
        again=request.again,
        batch=BatchHeader(request.title, id=result_of(proposal)),
    )


def carry_out_import(proposal: Proposal, given: Path | None) -> None:
    """Import the file that was checked: the kept one, or the one that the decider brings."""
    request = ImportParameters.from_json(proposal.parameters)
    with proposed_file(proposal, given) as path:
        file = CreditFile(
            path,
            proposal.proposed_by,
            CreditPool.objects.get(pk=request.default_pool) if request.default_pool else None,
            expected=Contents(request.count, digest=request.digest, credits_digest=request.credits_digest),
            new_pools=[CreditPool(**fields | {"id": UUID(fields["id"])}) for fields in request.new_pools],
        )
        name = request.file_name
        insert_file(file, BatchHeader(name, file_name=name, file_digest=request.digest, id=result_of(proposal)))


@contextmanager
def proposed_file(proposal: Proposal, given: Path | None) -> Iterator[Path]:
    """Yield the path of the proposed file; raise FileMissing."""
    if given is not None:
        yield given
        return
    if proposal.file is None:
        raise FileMissing
    with tempfile.NamedTemporaryFile() as kept:
        kept.write(proposal.file)
        kept.flush()
        yield Path(kept.name)


def carry_out_threshold(proposal: Proposal, _file: Path | None) -> None:
    """Change the pool's approval threshold."""
    threshold: Decimal | None = ThresholdParameters.from_json(proposal.parameters).threshold
    write_update(pool_of(proposal).pk, proposal.proposed_by, approval_threshold=threshold)


def result_of(proposal: Proposal) -> UUID:
    """Return the id that the result of an approved proposal has."""
    assert proposal.result is not None
    return proposal.result


CARRY_OUT: dict[ProposalKind, Callable[[Proposal, Path | None], None]] = {
    ProposalKind.GRANT: carry_out_grant,
    ProposalKind.CLAWBACK: carry_out_clawback,
    ProposalKind.EXTEND: carry_out_extension,
    ProposalKind.ISSUE: carry_out_issue,
    ProposalKind.RECREATE: carry_out_recreation,
    ProposalKind.IMPORT: carry_out_import,
    ProposalKind.THRESHOLD: carry_out_threshold,
}
