"""Claim decisions as a table: every outcome and the order of refusals, without a database."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from accounts.models import Role, User
from kernel.batching import RetryIndividually
from kernel.refusals import Refusal
from wallet.actions.claim_decisions import (
    AllInFlight,
    AssetAlreadyClaimed,
    ClaimLimitReached,
    ClaimRequest,
    PoolClosed,
    PoolSoldOut,
    SoldOutUntil,
    admit_pool_claims,
    decide_asset_claims,
    refuse_unserved,
)
from wallet.actions.claim_sql import ClaimAllowance, PoolSupply
from wallet.assets.models import AssetExpired, AssetNotFound, AssetStatus, CashbackAsset, PoolNotFound

Allowances = dict[tuple[UUID | None, UUID], ClaimAllowance]
ALICE, BOB = User(email="alice@example.com"), User(email="bob@example.com")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
POOL = uuid4()
FREE = ClaimAllowance(lock_acquired=True, pool_is_visible=True, is_open=True, remaining=None)


def asset(status: AssetStatus = AssetStatus.AVAILABLE, owner: User | None = None, pool: UUID | None = None) -> CashbackAsset:
    return CashbackAsset(status=status, claimed_by_id=owner.pk if owner else None, pool_id=pool)


def reason(outcome: Refusal | RetryIndividually) -> type:
    return type(outcome)


@dataclass(frozen=True)
class Case:
    """Return the refusal of Alice's claim of `wanted`, or None."""

    wanted: CashbackAsset | None
    allowance: ClaimAllowance | None
    expected: type | None


CASES = {
    "available, in no pool": Case(asset(), None, None),
    "available, in an open pool": Case(asset(pool=POOL), FREE, None),
    "available, allowance not read": Case(asset(pool=POOL), None, None),
    "unknown, or locked elsewhere": Case(None, None, RetryIndividually),
    "expired": Case(asset(AssetStatus.EXPIRED), None, AssetExpired),
    "claimed by another user": Case(asset(AssetStatus.CLAIMED, BOB), None, AssetAlreadyClaimed),
    "her lock in the pool is held elsewhere": Case(asset(pool=POOL), FREE._replace(lock_acquired=False), RetryIndividually),
    "the pool does not exist": Case(asset(pool=POOL), FREE._replace(pool_is_visible=None), AssetNotFound),
    "the pool is hidden": Case(asset(pool=POOL), FREE._replace(pool_is_visible=False, is_open=False), AssetNotFound),
    "expired in a hidden pool": Case(
        asset(AssetStatus.EXPIRED, pool=POOL), FREE._replace(pool_is_visible=False), AssetNotFound
    ),
    "the pool is closed": Case(asset(pool=POOL), FREE._replace(is_open=False), PoolClosed),
    "one remains": Case(asset(pool=POOL), FREE._replace(remaining=1), None),
    "none remains": Case(asset(pool=POOL), FREE._replace(remaining=0), ClaimLimitReached),
    # The order of the reasons.
    "expired before closed": Case(asset(AssetStatus.EXPIRED, pool=POOL), FREE._replace(is_open=False), AssetExpired),
    "claimed before limit": Case(asset(AssetStatus.CLAIMED, BOB, POOL), FREE._replace(remaining=0), AssetAlreadyClaimed),
    "lock before closed": Case(asset(pool=POOL), ClaimAllowance(False, True, False, 0), RetryIndividually),
    "hidden before closed": Case(asset(pool=POOL), ClaimAllowance(True, False, False, 0), AssetNotFound),
    "closed before limit": Case(asset(pool=POOL), ClaimAllowance(True, True, False, 0), PoolClosed),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_claim_by_id(case: Case) -> None:
    request = ClaimRequest(case.wanted.pk if case.wanted else uuid4(), ALICE)
    assets = {case.wanted.pk: case.wanted} if case.wanted else {}
    allowances: Allowances = {(POOL, ALICE.pk): case.allowance} if case.allowance else {}

    decision = decide_asset_claims([request], assets, allowances)

    assert [reason(outcome) for outcome in decision.refused.values()] == ([case.expected] if case.expected else [])
    assert decision.assignments == ([] if case.expected else [(request, case.wanted)])
    assert decision.repeated == []


def test_admin_gets_the_refusal_of_a_hidden_pool() -> None:
    ada, draft = User(email="ada@example.com", role=Role.ADMIN), asset(pool=POOL)
    request = ClaimRequest(draft.pk, ada)

    decision = decide_asset_claims([request], {draft.pk: draft}, {(POOL, ada.pk): ClaimAllowance(True, False, False, None)})

    assert reason(decision.refused[request]) is PoolClosed


def test_repeated_claim_of_the_owner_is_neither_refused_nor_assigned() -> None:
    mine = asset(AssetStatus.CLAIMED, ALICE)
    request = ClaimRequest(mine.pk, ALICE)

    decision = decide_asset_claims([request], {mine.pk: mine}, {})

    assert (decision.repeated, decision.assignments, decision.refused) == ([(request, mine)], [], {})


def test_first_of_a_batch_gets_the_asset() -> None:
    one = asset()
    first, second, again = (ClaimRequest(one.pk, user) for user in (ALICE, BOB, ALICE))

    decision = decide_asset_claims([first, second, again], {one.pk: one}, {})

    assert decision.assignments == [(first, one)]
    assert {r: reason(o) for r, o in decision.refused.items()} == {second: AssetAlreadyClaimed, again: RetryIndividually}


def test_refused_request_leaves_the_asset_to_the_next() -> None:
    one = asset(pool=POOL)
    first, second = ClaimRequest(one.pk, ALICE), ClaimRequest(one.pk, BOB)
    allowances: Allowances = {(POOL, ALICE.pk): FREE._replace(remaining=0), (POOL, BOB.pk): FREE}

    decision = decide_asset_claims([first, second], {one.pk: one}, allowances)

    assert decision.assignments == [(second, one)]
    assert reason(decision.refused[first]) is ClaimLimitReached


def test_limit_counts_what_the_batch_assigns() -> None:
    one, other = asset(pool=POOL), asset(pool=POOL)
    requests = [ClaimRequest(one.pk, ALICE), ClaimRequest(other.pk, ALICE)]
    allowances: Allowances = {(POOL, ALICE.pk): FREE._replace(remaining=1)}

    decision = decide_asset_claims(requests, {one.pk: one, other.pk: other}, allowances)

    assert decision.assignments == [(requests[0], one)]
    assert reason(decision.refused[requests[1]]) is ClaimLimitReached


def test_deciding_changes_none_of_its_arguments() -> None:
    one = asset(pool=POOL)
    assets = {one.pk: one}
    allowances: Allowances = {(POOL, ALICE.pk): FREE._replace(remaining=1)}
    requests = [ClaimRequest(one.pk, ALICE), ClaimRequest(one.pk, BOB)]

    decide_asset_claims(requests, assets, allowances)

    assert allowances == {(POOL, ALICE.pk): FREE._replace(remaining=1)}
    assert (assets, one.status, len(requests)) == ({one.pk: one}, AssetStatus.AVAILABLE, 2)


@pytest.mark.parametrize(
    ("allowance", "expected"),
    [
        (FREE, [None, None]),
        (FREE._replace(remaining=2), [None, None]),
        (FREE._replace(remaining=1), [None, ClaimLimitReached]),
        (FREE._replace(remaining=0), [ClaimLimitReached, ClaimLimitReached]),
        (FREE._replace(is_open=False), [PoolClosed, PoolClosed]),
        (FREE._replace(pool_is_visible=None), [PoolNotFound, PoolNotFound]),
        (FREE._replace(pool_is_visible=False), [PoolNotFound, PoolNotFound]),
        (FREE._replace(lock_acquired=False), [RetryIndividually, RetryIndividually]),
    ],
)
def test_admission_to_a_pool(allowance: ClaimAllowance, expected: list[type | None]) -> None:
    requests = [ClaimRequest(POOL, ALICE), ClaimRequest(POOL, ALICE)]

    admitted, refused = admit_pool_claims(requests, {(POOL, ALICE.pk): allowance})

    assert [None if request in admitted else reason(refused[request]) for request in requests] == expected


@pytest.mark.parametrize(
    ("some_left", "limited_user", "unserved_outcome", "limited_outcome"),
    [
        (True, BOB, AllInFlight, None),  # the limit stands: Bob's other claims are there
        (True, ALICE, AllInFlight, RetryIndividually),  # Alice's limit counted a request that got nothing
        (False, BOB, PoolSoldOut, PoolSoldOut),
        (False, ALICE, PoolSoldOut, PoolSoldOut),
    ],
)
def test_requests_that_got_no_asset(
    some_left: bool, limited_user: User, unserved_outcome: type, limited_outcome: type | None
) -> None:
    unserved, limited = ClaimRequest(POOL, ALICE), ClaimRequest(POOL, limited_user)

    refused = refuse_unserved([unserved], [limited], PoolSupply(some_left, may_issue=False, next_start=None, now=NOW))

    assert reason(refused[unserved]) is unserved_outcome
    assert (reason(refused[limited]) if limited in refused else None) is limited_outcome


@pytest.mark.parametrize(
    ("may_issue", "next_start", "outcome", "is_final"),
    [
        (False, None, PoolSoldOut, True),
        (True, None, PoolSoldOut, False),
        (False, NOW, PoolSoldOut, False),  # it has started and waits to be opened
        (False, LATER, SoldOutUntil, True),
        (True, LATER, PoolSoldOut, False),
    ],
)
def test_a_pool_is_finally_sold_out_when_nothing_may_follow_now(
    may_issue: bool, next_start: datetime | None, outcome: type, is_final: bool
) -> None:
    requests = [ClaimRequest(POOL, user) for user in (ALICE, BOB)]

    refused = refuse_unserved(requests, [], PoolSupply(some_left=False, may_issue=may_issue, next_start=next_start, now=NOW))

    first, second = (refused[request] for request in requests)
    assert isinstance(first, PoolSoldOut)
    assert (type(first), first.is_final) == (outcome, is_final)
    assert first is not second  # each is raised in a thread of its own
