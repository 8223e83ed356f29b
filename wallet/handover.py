"""What every way of claiming ends with: locked assets are handed over, and what happened is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection

from accounts.ids import array
from accounts.models import User
from accounts.refusals import Refusal
from accounts.together import Alone
from wallet.assets.models import AssetExpired, CashbackAsset, PoolNotFound
from wallet.assets.querysets import HAND_OVER, Room, Rooms
from wallet.contention import MOMENT_MS, broken_rule
from wallet.ledger import idempotency
from wallet.ledger.idempotency import Answer, IdempotencyKeyReused, Request, RequestInProgress
from wallet.ledger.models import Entry
from wallet.ledger.querysets import APPEND


class PoolClosed(Refusal):
    """The pool takes no claims now."""

    code = "pool_closed"
    detail = "This pool is not open for claims now. See its opens_at and closes_at."


class ClaimLimitReached(Refusal):
    """The user holds as many credits of the pool as it allows."""

    code = "claim_limit_reached"
    detail = "You already hold all the credits that this pool allows one person."


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


@dataclass(frozen=True, eq=False)
class Wanted:
    """One claim that was asked for: of the asset, or of any asset of the pool, with the id `target`."""

    target: UUID
    user: User
    request: Request | None = None


Outcomes = dict[Wanted, Claim | Refusal | Alone]
Match = tuple[Wanted, CashbackAsset]  # who is to have which locked, AVAILABLE asset


def answered_before(wanted: Sequence[Wanted], *, patient: bool) -> tuple[Outcomes, list[Wanted]]:
    """Reserve the keys; return the answers given before under them, and those who are still without one."""
    outcomes: Outcomes = {}
    requests = [each.request for each in wanted if each.request]
    free = idempotency.reserve(requests, None if patient else MOMENT_MS, for_claims=True)
    for each in wanted:
        if each.request is None:
            continue
        if each.request.name in free:
            free.remove(each.request.name)  # the same request again, in the same company, is not the first any more
            continue
        try:
            answer = idempotency.stored(each.request)
            outcomes[each] = Claim(answer.body, answer.status_code, replayed=True)
        except IdempotencyKeyReused as refusal:
            outcomes[each] = refusal
        except RequestInProgress as refusal:
            outcomes[each] = recorded(each.user, each.request, each.target) or (refusal if patient else Alone())
    return outcomes, [each for each in wanted if each not in outcomes]


def recorded(user: User, request: Request, target: UUID) -> Claim | Refusal | None:
    """Return what the ledger says of `request`, or None: its answer is forgotten after 7 days, its entry never.

    An entry does not say whether its asset was asked for or any of its pool: either is taken for the same request.
    """
    entry = Entry.objects.select_related("asset").filter(user=user, request_key=request.key).first()
    if entry is None:
        return None
    if target not in (entry.asset_id, entry.asset.pool_id):
        return IdempotencyKeyReused()
    return Claim(entry.receipt(), replayed=True)


def is_hidden(room: Room, user: User) -> bool:
    """Tell whether `user` may not know of the pool: there is none, or it is an ADMIN's draft (PoolQuerySet.visible_to)."""
    return room.is_active is None or not (room.is_active or user.is_admin)


def turned_away(
    each: Wanted, pool_id: UUID | None, rooms: Rooms, not_found: type[Refusal] = PoolNotFound
) -> Refusal | Alone | None:
    """Return why `each` is to have no credit of the pool now; None when they are, and then one place of theirs is taken.

    The trigger decides all the same; here one refusal is kept from undoing its neighbours.

    Arguments:
        not_found: what is said of a pool that the user may not see.
    """
    if pool_id is None:
        return None
    room = rooms[pool_id, each.user.pk]
    if not room.turn:
        return Alone()  # another claim of this user's is under way there
    if is_hidden(room, each.user):
        return not_found()
    if not room.is_open:
        return PoolClosed()
    if room.left is not None:
        if room.left <= 0:
            return ClaimLimitReached()
        room.left -= 1
    return None


def hand_over(matches: Sequence[Match]) -> Outcomes:
    """Give the locked, AVAILABLE assets to those who are to have them, write the entries, and store the answers.

    The instant and the slot are PostgreSQL's (rules.HANDOVER). Raises AssetExpired, PoolClosed, ClaimLimitReached or
    IdempotencyKeyReused for all of them when it refuses one.
    """
    if not matches:
        return {}
    entries = [entry_of(*match) for match in matches]
    assets, takers = array(asset.pk for _, asset in matches), array(each.user.pk for each, _ in matches)
    ids, keys = array(entry.pk for entry in entries), [entry.request_key for entry in entries]
    try:
        with connection.cursor() as cursor:
            # Owner and entry in one trip.
            cursor.execute(f"{HAND_OVER};{APPEND}", [assets, takers, ids, assets, keys])
            cursor.nextset()
            instants = dict(cursor.fetchall())
    except IntegrityError as error:
        if refusal := REFUSALS.get(broken_rule(error)):
            raise refusal from error
        raise
    for entry in entries:
        entry.claimed_at = instants[entry.asset_id]
    claims = [Claim(entry.receipt()) for entry in entries]
    idempotency.store(
        (each.request, Answer(claim.status_code, claim.receipt), entry)
        for (each, _), claim, entry in zip(matches, claims, entries, strict=True)
        if each.request
    )
    return {each: claim for (each, _), claim in zip(matches, claims, strict=True)}


def entry_of(each: Wanted, asset: CashbackAsset) -> Entry:
    """Return the entry of an asset that is to be handed over, not yet written: its instant is PostgreSQL's."""
    return Entry(
        asset=asset,
        user_id=each.user.pk,
        actor_id=each.user.pk,
        amount=asset.total_value,
        currency=asset.currency,
        request_key=each.request.key if each.request else None,
    )
