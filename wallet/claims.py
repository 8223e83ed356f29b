"""The act this product exists for: bind one credit to one user, once.

Claims that arrive together share one transaction, in which none waits for a stranger's lock; one that would have to wait
leaves the company and is made alone. Either way the same rows are locked and the same rules of PostgreSQL decide.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from django.db import OperationalError, transaction

from accounts.models import User
from accounts.refusals import Refusal
from accounts.together import Alone, Together
from wallet import crowd, gone
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool, PoolNotFound, Status
from wallet.assets.querysets import Rooms
from wallet.contention import MOMENT_MS, Busy, act
from wallet.handover import (
    Claim,
    ClaimLimitReached,
    Match,
    Outcomes,
    PoolClosed,
    Wanted,
    answered_before,
    hand_over,
    is_hidden,
    turned_away,
)
from wallet.ledger import idempotency
from wallet.ledger.idempotency import Answer, Request
from wallet.ledger.models import Entry

# Claiming in one place for those who call it, with the refusals that the handover knows of.
__all__ = [
    "AllInFlight",
    "AssetAlreadyClaimed",
    "Claim",
    "ClaimLimitReached",
    "PoolClosed",
    "PoolSoldOut",
    "Refusal",
    "Wanted",
    "claim",
    "claim_any",
    "claim_assets",
    "hand_over",
]


class AssetAlreadyClaimed(Refusal):
    """Somebody else owns the asset."""

    code = "asset_already_claimed"
    detail = "Somebody else claimed this credit first. Choose another one."


class PoolSoldOut(Refusal):
    """No credit of the pool is left."""

    code = "pool_sold_out"
    detail = "All credits of this pool are gone. Look at the other pools."


class AllInFlight(Busy):
    """Every credit left in the pool is in somebody's open claim, which may yet fail."""

    detail = "The last credits of this pool are being claimed right now. Ask again in a second with the same Idempotency-Key."


def claim(asset_id: UUID, user: User, request: Request | None = None) -> Claim:
    """Claim the asset `asset_id` for `user`; its owner asking again gets the first claim.

    Raises AssetNotFound, AssetAlreadyClaimed, AssetExpired, PoolClosed, ClaimLimitReached, IdempotencyKeyReused,
    RequestInProgress, Busy. A refusal changes nothing.
    """
    if request is None and gone.is_somebody_elses(asset_id, user):
        raise AssetAlreadyClaimed
    with crowd.one_at_a_time(asset_id):
        return joined(of_one, Wanted(asset_id, user, request))


def claim_any(pool_id: UUID, user: User, request: Request) -> Claim:
    """Claim one credit of the pool `pool_id` for `user`, the one that expires first; `request` makes a retry safe.

    Raises PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached, IdempotencyKeyReused, RequestInProgress, Busy.
    A refusal changes nothing.
    """
    return joined(of_any, Wanted(pool_id, user, request))


def joined(company: Together[Wanted, Claim], wanted: Wanted) -> Claim:
    """Claim in company; raise Busy when the company got no connection."""
    try:
        return company.ask(wanted)
    except OperationalError as error:
        raise Busy from error


def claim_assets(wanted: Sequence[Wanted], *, patient: bool) -> Outcomes:
    """Claim each one's asset: reserve the keys, lock the rows, look at the locked rows, hand them over."""
    outcomes, rest = answered_before(wanted, patient=patient)
    locked, rooms = locked_for(rest, patient=patient)
    first: dict[UUID, Match] = {}
    for each in rest:
        asset = locked.get(each.target)
        if asset is None:
            outcomes[each] = AssetNotFound() if patient else Alone()  # or it is locked by somebody
        elif asset.status != Status.AVAILABLE:
            outcomes[each] = final(each, asset, rooms)
        elif asset.pk in first:
            winner, _ = first[asset.pk]
            outcomes[each] = Alone() if winner.user.pk == each.user.pk else AssetAlreadyClaimed()
        elif not patient and (refusal := turned_away(each, asset.pool_id, rooms, AssetNotFound)):
            outcomes[each] = refusal
        else:
            first[asset.pk] = (each, asset)
    return outcomes | hand_over(list(first.values()))


def locked_for(wanted: Sequence[Wanted], *, patient: bool) -> tuple[dict[UUID, CashbackAsset], Rooms]:
    """Lock the rows, waiting for them or not; in company, return what room there is, too. Alone, the trigger tells."""
    if not wanted:
        return {}, {}
    if patient:
        return CashbackAsset.objects.lock_all([each.target for each in wanted]), {}
    return CashbackAsset.objects.lock_free([(each.target, each.user.pk) for each in wanted], MOMENT_MS)


def final(each: Wanted, asset: CashbackAsset, rooms: Rooms) -> Claim | Refusal:
    """Return what is said of an asset that is not AVAILABLE any more: to its owner, the first claim again."""
    if asset.status == Status.EXPIRED:
        room = asset.pool_id and rooms.get((asset.pool_id, each.user.pk))
        return AssetNotFound() if room and is_hidden(room, each.user) else AssetExpired()
    if asset.claimed_by_id != each.user.pk:
        gone.remember(asset)
        return AssetAlreadyClaimed()
    entry = Entry.objects.select_related("asset").get(asset=asset)
    again = Claim(entry.receipt(), 200)
    idempotency.store([(each.request, Answer(200, again.receipt), entry)] if each.request else [])
    return again


def claim_of_pools(wanted: Sequence[Wanted], *, patient: bool) -> Outcomes:
    """Claim an asset of each one's pool: reserve the keys, look for room, lock as many rows as are wanted, hand them over."""
    outcomes, rest = answered_before(wanted, patient=patient)
    turns = [(each.target, each.user.pk) for each in rest]
    rooms = CreditPool.objects.rooms_for(turns, None if patient else MOMENT_MS) if rest else {}
    outcomes |= {each: refusal for each in rest if (refusal := turned_away(each, each.target, rooms))}
    matches: list[Match] = []
    for pool_id, many in by_target(rest).items():
        left = CashbackAsset.objects.claimable().filter(pool=pool_id)
        queue = left.soonest_expiry_first().select_for_update(no_key=True, skip_locked=True, of=("self",))
        takers = [each for each in many if each not in outcomes]
        locked = list(queue[: len(takers)]) if takers else []
        matches += zip(takers, locked, strict=False)
        late = takers[len(locked) :]
        limited = [each for each in many if isinstance(outcomes.get(each), ClaimLimitReached)]
        if late or limited:
            some = left.exclude(pk__in=[asset.pk for asset in locked]).exists()
            # Skipping locked rows found too few: either no more are left, or they are in claims that may be rolled back.
            outcomes |= {each: AllInFlight() if some else PoolSoldOut() for each in late}
            # They are told of a limit only when it is reached: by what is there, or by a neighbour who gets a row.
            waiting = {each.user.pk for each in late}
            unsure = [each for each in limited if not some or each.user.pk in waiting]
            outcomes |= {each: Alone() if some else PoolSoldOut() for each in unsure}
    try:
        return outcomes | hand_over(matches)
    except AssetExpired as ended:
        raise AllInFlight from ended  # it ended between the two statements: look for the next


def by_target(wanted: Iterable[Wanted]) -> dict[UUID, list[Wanted]]:
    """Return who wants what, in the order of the ids."""
    found: defaultdict[UUID, list[Wanted]] = defaultdict(list)
    for each in wanted:
        found[each.target].append(each)
    return dict(sorted(found.items()))


def in_company(claim_all: Callable[..., Outcomes]) -> Callable[[Sequence[Wanted]], list[Claim | Refusal | Alone]]:
    """Return what makes claims together: one transaction, without waiting, each with an outcome of its own."""

    def together(wanted: Sequence[Wanted]) -> list[Claim | Refusal | Alone]:
        with transaction.atomic(durable=True):
            outcomes = claim_all(wanted, patient=False)
            outcomes |= {each: Alone() for each, outcome in outcomes.items() if isinstance(outcome, Busy)}
            unmade = [each for each in wanted if not isinstance(outcomes[each], Claim)]
            if len(unmade) == len(wanted):
                transaction.set_rollback(True)
            else:
                idempotency.release([each.request for each in unmade if each.request])
        return [outcomes[each] for each in wanted]

    return together


def by_itself(claim_all: Callable[..., Outcomes]) -> Callable[[Wanted], Claim]:
    """Return what makes one claim with all its patience; a refusal rolls everything back."""

    @act(repeatable=True)
    def alone(each: Wanted) -> Claim:
        outcome = claim_all([each], patient=True)[each]
        if isinstance(outcome, Claim):
            return outcome
        raise outcome

    return alone


def silent_on_hidden(alone: Callable[[Wanted], Claim], lookup: str, not_found: type[Refusal]) -> Callable[[Wanted], Claim]:
    """Return `alone`, with `not_found` in the place of a refusal that would give a hidden pool away. Looked up after it only.

    Arguments:
        lookup: by which field a pool is found from what is wanted.
    """

    def claim(each: Wanted) -> Claim:
        try:
            return alone(each)
        except (AssetExpired, PoolClosed) as refusal:
            hidden = CreditPool.objects.filter(**{lookup: each.target}, is_active=False)
            if each.user.is_admin or not hidden.exists():
                raise
            raise not_found from refusal

    return claim


of_one = Together(in_company(claim_assets), silent_on_hidden(by_itself(claim_assets), "assets", AssetNotFound))
of_any = Together(in_company(claim_of_pools), silent_on_hidden(by_itself(claim_of_pools), "pk", PoolNotFound))
