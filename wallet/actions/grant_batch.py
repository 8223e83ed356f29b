"""Grant credits of one pool to many users: one transaction for many lines, each of which is granted or refused by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop as _

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Refusal
from kernel.transactions import Busy, atomic_with_retry, violated_constraint
from kernel.uuid7 import uuid7
from wallet.actions import claim_sql, grant_sql
from wallet.actions.approvals import CONSTRAINT, ApprovalRequired
from wallet.actions.claim_batch import claim_refusal
from wallet.actions.claim_decisions import NeverSpendable, PoolClosed, nothing_left
from wallet.actions.grant_lines import (
    GrantLine,
    LinePlan,
    LineResult,
    Outcome,
    keep_to_allowances,
    name_of_user,
    plan_lines,
)
from wallet.actions.grant_sql import NewGrant
from wallet.actions.operator_audit import audited
from wallet.actions.replenish_pool import replenish_for_grants
from wallet.assets.models import CreditPool, PoolNotFound
from wallet.ledger.idempotency import IdempotentRequest, StoredResponse, answer_once

# Lines of one transaction. The claim trigger takes a lock for each user, of which PostgreSQL has several thousand in all.
MAX_LINES = 1_000
# What refuses every line of a pool alike.
OF_POOL = (PoolClosed, NeverSpendable)


class BulkApprovalRequired(ApprovalRequired):
    code = "approval_required"
    meaning = ApprovalRequired.meaning
    detail = _(
        "Together these grants are worth more than the pool's approval threshold, so nothing was granted. "
        "Another operator must approve a higher threshold first."
    )


@dataclass(frozen=True)
class GrantOrder:
    """What all lines of a bulk grant share. `actor` is the operator, `service` the service that asks; neither: the shell."""

    pool_id: UUID
    reason: str
    actor: User | None = None
    service: Service | None = None

    @property
    def actor_id(self) -> UUID | None:
        """The id of the operator."""
        return self.actor.pk if self.actor else None

    @property
    def service_id(self) -> UUID | None:
        """The id of the service."""
        return self.service.pk if self.service else None


@dataclass(frozen=True)
class GrantReport:
    """What became of each line, in JSON types; `replayed` is True when the same request was answered before."""

    body: dict[str, Any]
    replayed: bool = False


@audited("credit_grant")
def grant_many(
    pool_id: UUID,
    lines: Sequence[GrantLine],
    *,
    reason: str,
    actor: User | None = None,
    service: Service | None = None,
    request: IdempotentRequest | None = None,
) -> GrantReport:
    """Grant one credit of the pool per line, all in one transaction, and report each line.

    A reference grants once, whatever is sent again. `request` makes a repetition get the first report.

    Raises PoolNotFound, BulkApprovalRequired, IdempotencyKeyReused, RequestInProgress, Busy. A line is refused with
    InvalidReference, ReferenceUsed, UserNotFound, WalletClosed, PoolClosed, PoolSoldOut, ClaimLimitReached, NeverSpendable or
    AllInFlight.
    """
    return commit_report(GrantOrder(pool_id, reason, actor, service), lines, request)


@atomic_with_retry(idempotent=True)
def commit_report(order: GrantOrder, lines: Sequence[GrantLine], request: IdempotentRequest | None) -> GrantReport:
    """Grant the lines and return the report, once per request."""
    response, replayed = answer_once(request, lambda: StoredResponse(200, report_body(lines, process_lines(order, lines))))
    return GrantReport(response.body, replayed)


@atomic_with_retry(idempotent=True)
def grant_lines(order: GrantOrder, lines: Sequence[GrantLine], *, dry_run: bool = False) -> list[LineResult]:
    """Grant the lines in one transaction; return the result of each in their order. Raises as `grant_many` does.

    Arguments:
        dry_run: change nothing, and return what users, references and limits allow, as if there were credits for all.
    """
    return process_lines(order, lines, dry_run=dry_run)


def process_lines(order: GrantOrder, lines: Sequence[GrantLine], *, dry_run: bool = False) -> list[LineResult]:
    """Grant the lines within the caller's transaction."""
    if len(lines) > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES} lines in one transaction")
    names = [name_of_user(line.user) for line in lines]
    users, earlier = grant_sql.find_users_and_grants(names, [line.reference for line in lines], order.service_id)
    plan = plan_lines(lines, names, users, earlier, pool_id=order.pool_id, reason=order.reason)
    wanted = sorted({user_id for user_id, _digest in plan.wanted.values()})
    allowances = grant_sql.lock_and_read_allowances(order.pool_id, wanted, lock=not dry_run) if wanted else {}
    if any(allowance.pool_is_visible is None for allowance in allowances.values()) or not (allowances or pool_exists(order)):
        raise PoolNotFound
    keep_to_allowances(plan, allowances)
    check_worth(order, len(plan.wanted))
    if dry_run:
        plan.results |= dict.fromkeys(plan.wanted, LineResult(Outcome.GRANTED))
    else:
        grant_wanted(order, lines, plan)
    return plan.in_order()


def check_worth(order: GrantOrder, count: int) -> None:
    """Raise BulkApprovalRequired if so many grants are together worth more than the pool's approval threshold.

    What the pool would issue for them on demand is not counted: its budget is no more than the threshold.
    """
    if count and grant_sql.needs_approval(order.pool_id, count):
        raise BulkApprovalRequired


def pool_exists(order: GrantOrder) -> bool:
    """Return whether the pool exists."""
    return CreditPool.objects.filter(pk=order.pool_id).exists()


def grant_wanted(order: GrantOrder, lines: Sequence[GrantLine], plan: LinePlan) -> None:
    """Grant the wanted lines of the plan, as far as the pool has credits, and add their results to it."""
    grants = {
        position: NewGrant(uuid7(), user_id, lines[position].reference, digest)
        for position, (user_id, digest) in plan.wanted.items()
    }
    if not grants:
        return
    try:
        granted = record_grants(order, list(grants.values()))
        missing = [grant for grant in grants.values() if grant.entry_id not in granted]
        if missing and replenish_for_grants(order.pool_id, len(missing)):
            granted |= record_grants(order, missing)
        if len(granted) < len(grants):
            refusal: Refusal = nothing_left(claim_sql.read_pool_supply(order.pool_id))
    except OF_POOL as of_pool:
        granted, refusal = set(), of_pool
    for position, grant in grants.items():
        if grant.entry_id in granted:
            plan.results[position] = LineResult(Outcome.GRANTED, grant.entry_id)
        else:
            plan.refuse(position, refusal)


def record_grants(order: GrantOrder, grants: Sequence[NewGrant]) -> set[UUID]:
    """Record the grants and return the entries that were made.

    Raises PoolClosed, NeverSpendable or BulkApprovalRequired for all of them, Busy when something changed since it was read.
    """
    try:
        with transaction.atomic():
            return grant_sql.grant_credits(
                order.pool_id, grants, reason=order.reason, actor_id=order.actor_id, service_id=order.service_id
            )
    except IntegrityError as error:
        if violated_constraint(error) == CONSTRAINT:
            raise BulkApprovalRequired from error
        refusal = claim_refusal(error)
        if isinstance(refusal, OF_POOL):
            raise refusal from error
        if refusal is not None or violated_constraint(error) == "grant_reference":
            raise Busy from error
        raise


def report_body(lines: Sequence[GrantLine], results: Sequence[LineResult]) -> dict[str, Any]:
    """Return the report in JSON types."""
    outcomes = [result.outcome for result in results]
    return {
        **{outcome.value: outcomes.count(outcome) for outcome in Outcome},
        "lines": [
            {
                "user": line.user,
                "reference": line.reference,
                "outcome": result.outcome.value,
                "claim": str(result.claim_id) if result.claim_id else None,
                "code": result.refusal.code if result.refusal else None,
                "detail": result.refusal.message if result.refusal else None,
            }
            for line, result in zip(lines, results, strict=True)
        ],
    }
