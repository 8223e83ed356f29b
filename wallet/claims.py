"""The act this product exists for: bind one credit to one user, once.

Claims that arrive together share one transaction, in which none waits for a stranger's lock; one that would have to wait
leaves the company and is made alone. Either way the same rows are locked and the same rules of PostgreSQL decide.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.refusals import Refusal
from accounts.together import Alone, Together
from wallet import crowd, gone
from wallet.assets.models import AssetExpired, AssetNotFound, CashbackAsset, CreditPool, PoolNotFound, Status
from wallet.contention import Busy, act, broken_rule, impatient
from wallet.ledger import idempotency
from wallet.ledger.idempotency import Answer, IdempotencyKeyReused, Request, RequestInProgress
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


@dataclass(frozen=True, eq=False)
class Wanted:
    """One claim that was asked for: of the asset, or of any asset of the pool, with the id `target`."""

    target: UUID
    user: User
    request: Request | None = None


Outcomes = dict[Wanted, Claim | Refusal | Alone]
Match = tuple[Wanted, CashbackAsset]  # who is to have which locked, AVAILABLE asset


def claim(asset_id: UUID, user: User, request: Request | None = None) -> Claim:
    """Claim the asset `asset_id` for `user`; its owner asking again gets the first claim.

    Raises AssetNotFound, AssetAlreadyClaimed, AssetExpired, PoolClosed, ClaimLimitReached, IdempotencyKeyReused,
    RequestInProgress, Busy. A refusal changes nothing.
    """
    if request is None and gone.is_somebody_elses(asset_id, user):
        raise AssetAlreadyClaimed
    with crowd.one_at_a_time(asset_id):
        return of_one.ask(Wanted(asset_id, user, request))


def claim_any(pool_id: UUID, user: User, request: Request) -> Claim:
    """Claim one credit of the pool `pool_id` for `user`, the one that expires first; `request` makes a retry safe.

    Raises PoolNotFound, PoolClosed, PoolSoldOut, ClaimLimitReached, IdempotencyKeyReused, RequestInProgress, Busy.
    A refusal changes nothing.
    """
    return of_any.ask(Wanted(pool_id, user, request))


def claim_assets(wanted: Sequence[Wanted], *, patient: bool) -> Outcomes:
    """Claim each one's asset: reserve the keys, lock the rows, look at the locked rows, hand them over."""
    outcomes, rest = answered_before(wanted, patient=patient)
    rows = CashbackAsset.objects.filter(pk__in={each.target for each in rest}).order_by("pk")
    locked = rows.select_for_update(no_key=True, of=("self",), skip_locked=not patient).in_bulk()
    first: dict[UUID, Match] = {}
    for each in rest:
        asset = locked.get(each.target)
        if asset is None:
            outcomes[each] = AssetNotFound() if patient else Alone()  # or it is locked by somebody
        elif asset.status != Status.AVAILABLE:
            outcomes[each] = final(each, asset)
        else:
            first.setdefault(each.target, (each, asset))
    outcomes |= hand_over(list(first.values()))
    for each in rest:
        if each not in outcomes:
            winner, asset = first[each.target]
            won = isinstance(outcomes[winner], Claim) and asset.claimed_by_id != each.user.pk
            outcomes[each] = AssetAlreadyClaimed() if won else Alone()
    return outcomes


def final(each: Wanted, asset: CashbackAsset) -> Claim | Refusal:
    """Return what is said of an asset that is not AVAILABLE any more: to its owner, the first claim again."""
    if asset.status == Status.EXPIRED:
        return AssetExpired()
    if asset.claimed_by_id != each.user.pk:
        gone.remember(asset)
        return AssetAlreadyClaimed()
    entry = Entry.objects.select_related("asset").get(asset=asset)
    again = Claim(entry.receipt(), 200)
    idempotency.store([(each.request, Answer(200, again.receipt), entry)] if each.request else [])
    return again


def claim_of_pools(wanted: Sequence[Wanted], *, patient: bool) -> Outcomes:
    """Claim an asset of each one's pool: reserve the keys, lock as many rows as are wanted, hand them over."""
    outcomes, rest = answered_before(wanted, patient=patient)
    pools = CreditPool.objects.with_is_open().in_bulk({each.target for each in rest})
    matches: list[Match] = []
    for pool_id, many in by_target(rest).items():
        pool = pools.get(pool_id)
        if pool is None or not pool.is_open:
            outcomes |= {each: PoolClosed() if pool else PoolNotFound() for each in many}
            continue
        left = CashbackAsset.objects.claimable().filter(pool=pool)
        queue = left.soonest_expiry_first().select_for_update(no_key=True, skip_locked=True, of=("self",))
        locked = list(queue[: len(many)])
        matches += zip(many, locked, strict=False)
        if late := many[len(locked) :]:
            # Skipping locked rows found too few: either no more are left, or they are in claims that may be rolled back.
            some = left.exclude(pk__in=[asset.pk for asset in locked]).exists()
            outcomes |= {each: AllInFlight() if some else PoolSoldOut() for each in late}
    try:
        return outcomes | hand_over(matches)
    except AssetExpired as late:
        raise AllInFlight from late  # it ended between the two statements: look for the next


def by_target(wanted: Iterable[Wanted]) -> dict[UUID, list[Wanted]]:
    """Return who wants what, in the order of the ids."""
    found: defaultdict[UUID, list[Wanted]] = defaultdict(list)
    for each in wanted:
        found[each.target].append(each)
    return dict(sorted(found.items()))


def answered_before(wanted: Sequence[Wanted], *, patient: bool) -> tuple[Outcomes, list[Wanted]]:
    """Reserve the keys; return the answers given before under them, and those who are still without one."""
    outcomes: Outcomes = {}
    ours = idempotency.reserve([each.request for each in wanted if each.request])
    for each in wanted:
        if each.request and each.request not in ours:
            try:
                answer = idempotency.stored(each.request)
                outcomes[each] = Claim(answer.body, answer.status_code, replayed=True)
            except IdempotencyKeyReused as refusal:
                outcomes[each] = refusal
            except RequestInProgress as refusal:
                outcomes[each] = refusal if patient else Alone()
    return outcomes, [each for each in wanted if each not in outcomes]


def hand_over(matches: Sequence[Match]) -> Outcomes:
    """Give the locked assets to those who are to have them, write the entries, and store the answers.

    One that would break a rule of its pool is refused beforehand when there are others, whom it would take along.
    """
    outcomes: Outcomes = screened(matches) if len(matches) > 1 else {}
    matches = [match for match in matches if match[0] not in outcomes]
    try:
        CashbackAsset.objects.hand_over([(asset, each.user.pk) for each, asset in matches])
        entries = [entry_of(*match) for match in matches]
        Entry.objects.append(entries)
    except IntegrityError as error:
        if refusal := REFUSALS.get(broken_rule(error)):
            raise refusal from error
        raise
    claims = [Claim(entry.receipt()) for entry in entries]
    idempotency.store(
        (each.request, Answer(claim.status_code, claim.receipt), entry)
        for (each, _), claim, entry in zip(matches, claims, entries, strict=True)
        if each.request
    )
    return outcomes | {each: claim for (each, _), claim in zip(matches, claims, strict=True)}


def entry_of(each: Wanted, asset: CashbackAsset) -> Entry:
    """Return the entry, not yet written, of an asset that was just handed over."""
    return Entry(
        asset=asset,
        user_id=each.user.pk,
        actor_id=each.user.pk,
        amount=asset.total_value,
        currency=asset.currency,
        claimed_at=asset.claimed_at,  # type: ignore[misc]
        request_key=each.request.key if each.request else None,
    )


def screened(matches: Sequence[Match]) -> Outcomes:
    """Refuse those whose pool is closed or whose limit is reached, and wait for each user's turn in each pool.

    The trigger decides all the same; here one refusal is kept from undoing its neighbours. Turns are taken in one order by
    everybody, so that no two companies wait for each other.
    """
    outcomes: Outcomes = {}
    pooled = [(each, (asset.pool_id, each.user.pk)) for each, asset in matches if asset.pool_id]
    rooms = CashbackAsset.objects.take_turns({turn for _, turn in pooled})
    for each, turn in pooled:
        room = rooms[turn]
        if not room.is_open:
            outcomes[each] = PoolClosed()
        elif room.left is not None and room.left <= 0:
            outcomes[each] = ClaimLimitReached()
        elif room.left is not None:
            room.left -= 1
    return outcomes


def in_company(claim_all: Callable[..., Outcomes]) -> Callable[[Sequence[Wanted]], list[Claim | Refusal | Alone]]:
    """Return what makes claims together: one transaction, without waiting, each with an outcome of its own."""

    def together(wanted: Sequence[Wanted]) -> list[Claim | Refusal | Alone]:
        with transaction.atomic(durable=True):
            impatient()
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


of_one = Together(in_company(claim_assets), by_itself(claim_assets))
of_any = Together(in_company(claim_of_pools), by_itself(claim_of_pools))
