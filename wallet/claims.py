"""The act this product exists for: bind one credit to one user, once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from accounts.models import User
from accounts.refusals import Refusal
from wallet import crowd
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool, PoolNotFound, Status
from wallet.contention import Busy, act, broken_rule
from wallet.ledger import idempotency
from wallet.ledger.idempotency import Answer, IdempotencyKeyReused, Request
from wallet.ledger.models import Entry


class AssetAlreadyClaimed(Refusal):
    """Somebody else owns the asset."""

    code = "asset_already_claimed"
    detail = "Somebody else claimed this credit first. Choose another one."


class PoolSoldOut(Refusal):
    """No credit of the pool is left."""

    code = "pool_sold_out"
    detail = "All credits of this pool are gone. Look at the other pools."


class PoolClosed(Refusal):
    """The pool takes no claims now."""

    code = "pool_closed"
    detail = "This pool is not open for claims now. See its opens_at and closes_at."


class ClaimLimitReached(Refusal):
    """The user holds as many credits of the pool as it allows."""

    code = "claim_limit_reached"
    detail = "You already hold all the credits that this pool allows one person."


class AllInFlight(Busy):
    """Every credit left in the pool is in somebody's open claim, which may yet fail."""

    detail = "The last credits of this pool are being claimed right now. Ask again in a second with the same Idempotency-Key."


# PostgreSQL decides; this only says it in the caller's words.
REFUSALS: dict[str, type[Refusal]] = {
    "asset_claimed_before_expiry": AssetExpired,
    "pool_open": PoolClosed,
    "pool_claim_limit": ClaimLimitReached,
    "entry_request_key": IdempotencyKeyReused,
}


@dataclass(frozen=True)
class Claim:
    """What a claim came to.

    `receipt` is the claim in JSON types (Entry.receipt). `status_code` is 201 for a new claim and 200 when the asset was
    the user's already; `replayed` tells that this very request had been answered before.
    """

    receipt: dict[str, Any]
    status_code: int = 201
    replayed: bool = False


def claim(asset_id: UUID, user: User, request: Request | None = None) -> Claim:
    """Claim the asset `asset_id` for `user`; its owner asking again gets the first claim.

    Raises AssetNotFound, AssetAlreadyClaimed, AssetExpired, PoolClosed, ClaimLimitReached, IdempotencyKeyReused,
    RequestInProgress, Busy. A refusal changes nothing.
    """
    with crowd.one_at_a_time(asset_id):
        return claim_asset(asset_id, user, request)


@act(repeatable=True)
def claim_asset(asset_id: UUID, user: User, request: Request | None) -> Claim:
    """Claim one asset in one transaction: reserve the key, lock the row, look at the locked row, hand it over."""
    if answer := request and idempotency.reserve(request):
        return Claim(answer.body, answer.status_code, replayed=True)
    asset = CashbackAsset.objects.filter(pk=asset_id).select_for_update(no_key=True, of=("self",)).first()
    if asset is None:
        raise AssetNotFound
    if asset.status == Status.EXPIRED:
        raise AssetExpired
    if asset.status == Status.CLAIMED and asset.claimed_by_id != user.pk:
        raise AssetAlreadyClaimed
    if asset.status == Status.CLAIMED:
        entry = Entry.objects.select_related("asset").get(asset=asset)
        return answered(Claim(entry.receipt(), 200), entry, request)
    return hand_over(asset, user, request)


@act(repeatable=True)
def claim_any(pool_id: UUID, user: User, request: Request) -> Claim:
    """Claim one credit of the pool `pool_id` for `user`, the one that expires first; `request` makes a retry safe.

    Raises PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached, IdempotencyKeyReused, RequestInProgress, Busy.
    A refusal changes nothing.
    """
    if answer := idempotency.reserve(request):
        return Claim(answer.body, answer.status_code, replayed=True)
    pool = CreditPool.objects.with_is_open().filter(pk=pool_id).first()
    if pool is None:
        raise PoolNotFound
    if not pool.is_open:
        raise PoolClosed
    left = CashbackAsset.objects.claimable().filter(pool=pool)
    asset = left.soonest_expiry_first().select_for_update(no_key=True, skip_locked=True, of=("self",)).first()
    if asset is None:
        # Skipping locked rows found none: either none is left, or all are in claims that may still be rolled back.
        raise AllInFlight if left.exists() else PoolSoldOut
    try:
        return hand_over(asset, user, request)
    except AssetExpired as late:
        raise AllInFlight from late  # it ended between the two statements: look for the next


def hand_over(asset: CashbackAsset, user: User, request: Request | None) -> Claim:
    """Give the locked asset to `user`, write the entry, and store the answer."""
    try:
        asset.hand_over(user.pk)
        entry = Entry.objects.create(
            asset=asset,
            user=user,
            actor=user,
            amount=asset.total_value,
            currency=asset.currency,
            claimed_at=asset.claimed_at,  # type: ignore[misc]
            request_key=request.key if request else None,
        )
    except IntegrityError as error:
        if refusal := REFUSALS.get(broken_rule(error)):
            raise refusal from error
        raise
    return answered(Claim(entry.receipt()), entry, request)


def answered(claim: Claim, entry: Entry, request: Request | None) -> Claim:
    """Store the answer under the request's key, if it has one, and return it."""
    if request:
        idempotency.store(request, Answer(claim.status_code, claim.receipt), entry)
    return claim
