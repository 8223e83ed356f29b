"""Decisions about claims, from locked rows and allowances: pure functions without SQL, cache or mutation of arguments."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.batching import RetryIndividually
from kernel.refusals import Conflict, Refusal
from kernel.timestamps import format_timestamp
from kernel.transactions import Busy
from wallet.actions.claim_sql import ClaimAllowance, ClaimAllowances, PoolSupply
from wallet.assets.models import AssetExpired, AssetNotFound, AssetStatus, CashbackAsset, PoolNotFound
from wallet.ledger.idempotency import IdempotentRequest


class AssetAlreadyClaimed(Conflict):
    code = "asset_already_claimed"
    meaning = _("Another user owns the credit.")
    detail = _("This credit was just claimed by someone else. Choose another one.")

    def __init__(self, asset: CashbackAsset | None = None) -> None:
        """Take the claimed asset as read from its committed row, or None if no row was read."""
        super().__init__()
        self.asset = asset


class ClaimableLater:
    """A refusal that says from when a claim is possible: `sentence` for the user, with that time for {begins}."""

    sentence: ClassVar[str]
    members: Mapping[str, Any]

    def __init__(self, next_claim_at: datetime) -> None:
        begins = format_timestamp(next_claim_at)
        super().__init__(self.sentence.format(begins=begins))  # type: ignore[call-arg]  # of the refusal
        self.next_claim_at = next_claim_at
        self.members = {"next_claim_at": begins}


class PoolSoldOut(Conflict):
    """Raised as final, unless the pool may get more credits when it is asked for them (replenish_pool)."""

    code = "pool_sold_out"
    meaning = _("No credit of the pool is left.")
    detail = _("All credits of this pool have been claimed. See the other pools.")

    def __init__(self, detail: str | None = None, *, is_final: bool = True) -> None:
        super().__init__(detail)
        self.is_final = is_final


class SoldOutUntil(ClaimableLater, PoolSoldOut):
    code = "pool_sold_out"
    meaning = _("No credit of the pool is left, or none until the next ones start.")
    detail = _("All credits of this pool have been claimed for now. Try again when the next ones start, at next_claim_at.")
    sentence = "All credits of this pool have been claimed for now. The next ones can be claimed from {begins} on."


class NotYetClaimable(ClaimableLater, Conflict):
    code = "asset_not_yet_claimable"
    meaning = _("The credit can be claimed from a later time on.")
    detail = _("This credit cannot be claimed yet. Try again from its claimable_from on.")
    sentence = "This credit can be claimed from {begins} on."


class PoolClosed(Conflict):
    code = "pool_closed"
    meaning = _("The pool is not open for claims, or is not active.")
    detail = _("This pool is not open for claims now. See its opens_at and closes_at, or choose another pool.")


class ClaimLimitReached(Conflict):
    code = "claim_limit_reached"
    meaning = _("The user has claimed as many credits of the pool as it allows per user.")
    detail = _("You have reached this pool's limit per user. See the other pools.")


class PeriodLimitReached(ClaimableLater, ClaimLimitReached):
    code = "claim_limit_reached"
    meaning = _("The user has claimed as many credits of the pool as it allows per user, or per user and period.")
    detail = _("You have reached this pool's limit per user for now. Claim again when its next period begins.")
    sentence = "You have reached this pool's limit per user for now. You can claim from it again from {begins} on."


class NeverSpendable(Conflict):
    code = "never_spendable"
    meaning = _("The credit would end before it can be spent, by the dates of its pool.")
    detail = _("This credit would end before you could spend it, so it cannot be claimed. Choose another one.")


class AllInFlight(Busy):
    meaning = _("The last credits of the pool are being claimed by other requests, which may still fail.")
    detail = _(
        "The last credits of this pool are being claimed right now. Try again in a second with the same Idempotency-Key."
    )


@dataclass(frozen=True, eq=False)
class ClaimRequest:
    """One requested claim: of the asset, or of any asset of the pool, with the id `target_id`."""

    target_id: UUID
    user: User
    request: IdempotentRequest | None = None


Assignment = tuple[ClaimRequest, CashbackAsset]  # a request and the locked, AVAILABLE asset assigned to it
Refused = dict[ClaimRequest, Refusal | RetryIndividually]


@dataclass
class Decision:
    """The assignments, the refused requests, and the requests that repeat the owner's earlier claim."""

    assignments: list[Assignment] = field(default_factory=list)
    refused: Refused = field(default_factory=dict)
    repeated: list[Assignment] = field(default_factory=list)


def decide_asset_claims(
    requests: Sequence[ClaimRequest], assets: Mapping[UUID, CashbackAsset], allowances: ClaimAllowances
) -> Decision:
    """Decide claims by asset id in the order of the requests.

    Arguments:
        assets: the locked assets by id.
        allowances: by pool and user. Where one is missing, only the triggers check the limit and the pool's dates.
    """
    decision, winners = Decision(), dict[UUID, ClaimRequest]()
    taken: Counter[tuple[UUID | None, UUID]] = Counter()
    for request in requests:
        asset = assets.get(request.target_id)
        if asset is None:
            # It does not exist, or another transaction holds it: only a claim that waits for locks can tell.
            decision.refused[request] = RetryIndividually()
        elif asset.status == AssetStatus.EXPIRED:
            is_visible = not is_hidden(allowances.get((asset.pool_id, request.user.pk)), request.user)
            decision.refused[request] = AssetExpired() if is_visible else AssetNotFound()
        elif asset.status == AssetStatus.SCHEDULED:
            assert asset.claimable_from is not None
            is_visible = not is_hidden(allowances.get((asset.pool_id, request.user.pk)), request.user)
            decision.refused[request] = NotYetClaimable(asset.claimable_from) if is_visible else AssetNotFound()
        elif asset.status == AssetStatus.CLAIMED and asset.claimed_by_id == request.user.pk:
            decision.repeated.append((request, asset))
        elif asset.status == AssetStatus.CLAIMED:
            decision.refused[request] = AssetAlreadyClaimed(asset)
        elif winner := winners.get(asset.pk):
            is_same_user = winner.user.pk == request.user.pk
            decision.refused[request] = RetryIndividually() if is_same_user else AssetAlreadyClaimed()
        elif refusal := check_allowance(asset.pool_id, request.user, allowances, taken, AssetNotFound):
            decision.refused[request] = refusal
        else:
            winners[asset.pk] = request
            taken[asset.pool_id, request.user.pk] += 1
            decision.assignments.append((request, asset))
    return decision


def admit_pool_claims(requests: Sequence[ClaimRequest], allowances: ClaimAllowances) -> tuple[list[ClaimRequest], Refused]:
    """Return the requests that may be assigned an asset of their pool, and the refusals of the others."""
    admitted: list[ClaimRequest] = []
    refused: Refused = {}
    taken: Counter[tuple[UUID | None, UUID]] = Counter()
    for request in requests:
        if refusal := check_allowance(request.target_id, request.user, allowances, taken, PoolNotFound):
            refused[request] = refusal
        else:
            taken[request.target_id, request.user.pk] += 1
            admitted.append(request)
    return admitted, refused


def check_allowance(
    pool_id: UUID | None,
    user: User,
    allowances: ClaimAllowances,
    taken: Mapping[tuple[UUID | None, UUID], int],
    not_found: type[Refusal],
) -> Refusal | RetryIndividually | None:
    """Return the refusal of a claim by `user` from the pool now, or None if it is allowed.

    Arguments:
        taken: number of assets that this batch assigns, by pool and user.
        not_found: the refusal for a pool that the user may not see.
    """
    allowance = allowances.get((pool_id, user.pk))
    if pool_id is None or allowance is None:
        return None
    if not allowance.lock_acquired:
        return RetryIndividually()  # another claim of this user in this pool is in progress
    if is_hidden(allowance, user):
        return not_found()
    if not (allowance.is_open and allowance.pool_is_visible):
        return PoolClosed()
    return limit_reached(allowance, taken[pool_id, user.pk])


def limit_reached(allowance: ClaimAllowance, taken: int) -> ClaimLimitReached | None:
    """Return the refusal of one more claim beside `taken` others of this batch, or None if the limits allow it."""
    if allowance.remaining is None or allowance.remaining > taken:
        return None
    return PeriodLimitReached(allowance.next_claim_at) if allowance.next_claim_at else ClaimLimitReached()


def is_hidden(allowance: ClaimAllowance | None, user: User) -> bool:
    """Return whether the pool does not exist or is hidden from `user` (see PoolQuerySet.visible_to)."""
    return allowance is not None and not (allowance.pool_is_visible or (allowance.pool_is_visible is False and user.is_admin))


def refuse_unserved(unserved: Sequence[ClaimRequest], limited: Sequence[ClaimRequest], supply: PoolSupply) -> Refused:
    """Return the refusals of one pool's requests that were assigned no asset.

    Arguments:
        unserved: admitted requests for which no asset could be locked.
        limited: requests refused for the user's limit. That refusal stands only while assets are left and the limit is reached
            by claims that exist or are recorded in this batch; without assets left, the pool is sold out for every user.
        supply: what the pool has besides the assigned assets, all of it locked by other transactions.
    """
    waiting_users = {request.user.pk for request in unserved}
    refused: Refused = {request: nothing_left(supply) for request in unserved}  # each thread raises one of its own
    for request in limited:
        if not supply.some_left:
            refused[request] = nothing_left(supply)
        elif request.user.pk in waiting_users:
            refused[request] = RetryIndividually()
    return refused


def nothing_left(supply: PoolSupply) -> Refusal:
    """Return the refusal of a claim for which the pool had no asset."""
    if supply.some_left:
        return AllInFlight()
    if supply.may_open or supply.may_issue:
        return PoolSoldOut(is_final=False)
    return SoldOutUntil(supply.next_start) if supply.next_start is not None else PoolSoldOut()
