"""The points of a claim: before and after each of its statements and its commit, as they are really sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

from accounts.models import User
from kernel.batching import Batcher, PendingItem, RetryIndividually
from kernel.refusals import Refusal
from wallet.actions.claim import asset_claim_batcher, pool_claim_batcher
from wallet.actions.claim_batch import Claim, ClaimOutcome
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint

Act = Callable[[], Any]
# What a statement does, by words that it alone has. One that does something else is a point all the same.
DEEDS = {
    "INSERT INTO ledger_idempotencykey": "key",
    "FOR NO KEY UPDATE": "lock",  # of credits, and in company the turns and the room in their pools
    "per_user_limit": "room",
    "UPDATE assets_cashbackasset": "handover",  # and the entry, in one trip
    "UPDATE ledger_idempotencykey": "answer",
}
ALWAYS = {"key", "lock", "handover", "answer", "commit"}  # what every claim under a key does


@dataclass(frozen=True)
class Stand:
    """What some people want at one time: a pool, which allows each of them one credit, and its credits."""

    pool: CreditPool
    credits: list[CashbackAsset]
    people: list[User]


@dataclass(frozen=True)
class Way:
    """One path of a claim: of a pool or of one credit, in company or alone, and how many are in the company."""

    company: Batcher[ClaimRequest, ClaimOutcome]
    alone: bool
    people: int = 1

    @property
    def gone(self) -> str:
        """What is heard when somebody else was faster."""
        return "pool_sold_out" if self.company is pool_claim_batcher else "asset_already_claimed"

    @property
    def ended(self) -> str:
        """What is heard when the last credit has ended."""
        return "pool_sold_out" if self.company is pool_claim_batcher else "asset_expired"

    @property
    def turn(self) -> str:
        """The deed with which a user's other claims of the pool begin to wait."""
        return "handover" if self.alone else "room" if self.company is pool_claim_batcher else "lock"

    def wanted(self, stand: Stand, user: User, key: str = "the-first-key", credit: int = 0) -> ClaimRequest:
        target = stand.pool.pk if self.company is pool_claim_batcher else stand.credits[credit].pk
        return ClaimRequest(target, user, IdempotentRequest(user, "claim", f"{key}-{stand.pool.pk}", fingerprint(target)))

    def ask(self, stand: Stand) -> list[Claim | Refusal]:
        """Claim for all people of the stand and return what each is told, in their order."""
        *others, last = [self.wanted(stand, user) for user in stand.people]
        seats = [PendingItem[ClaimRequest, ClaimOutcome](each) for each in others]
        self.company.queue.extend(seats)
        mine = told(lambda: self.company.run_one(last) if self.alone else self.company.submit(last))
        return [*(self.outcome_of(seat) for seat in seats), mine]

    def hear(self, stand: Stand) -> list[str]:
        """Claim for all people of the stand and return what each hears, in a word."""
        return [word(each) for each in self.ask(stand)]

    def outcome_of(self, seat: PendingItem[ClaimRequest, ClaimOutcome]) -> Claim | Refusal:
        """Return what somebody in company is told, who goes alone when the company has no answer."""
        if isinstance(seat.outcome, RetryIndividually):
            return told(lambda: self.company.run_one(seat.item))
        assert isinstance(seat.outcome, Claim | Refusal)
        return seat.outcome


Stands = Callable[..., list[Stand]]
WAYS = {
    "a credit, in company": Way(asset_claim_batcher, alone=False),
    "a credit, alone": Way(asset_claim_batcher, alone=True),
    "a pool's, in company": Way(pool_claim_batcher, alone=False),
    "a pool's, alone": Way(pool_claim_batcher, alone=True),
    "a pool's, two in company": Way(pool_claim_batcher, alone=False, people=2),
}


@dataclass(frozen=True)
class Point:
    """One moment of a claim: before or after what it does as its step `number`."""

    number: int
    deeds: tuple[str, ...]
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} step {self.number}, {self.deed}"

    @property
    def deed(self) -> str:
        return self.deeds[self.number]

    def is_past(self, deed: str) -> bool:
        """Tell whether the claim has done the deed."""
        first = self.deeds.index(deed)
        return self.number > first or (self.number == first and self.after)


Counted = Callable[[list[tuple[Point, Stand]]], list[tuple[Point, Stand]]]


def told(claim: Callable[[], ClaimOutcome]) -> Claim | Refusal:
    try:
        return claim()
    except Refusal as refusal:
        return refusal


def word(outcome: Claim | Refusal) -> str:
    return str(outcome.status_code) if isinstance(outcome, Claim) else outcome.code


def points(way: Way, stands: Stands, **what: int) -> list[tuple[Point, Stand]]:
    """Return every point of a claim that goes this way, as one that nobody disturbs shows them, with a stand for each."""
    (undisturbed,) = stands(way, 1, **what)
    with watched(lambda *_: None) as steps:
        assert way.hear(undisturbed) == ["201"] * way.people
    assert set(steps) >= ALWAYS
    found = [Point(number, tuple(steps), after) for number in range(len(steps)) for after in (False, True)]
    return list(zip(found, stands(way, len(found), **what), strict=True))


@contextmanager
def at(point: Point, act: Act) -> Iterator[list[Any]]:
    """Act once, at the point, and yield a list for what came of it; fails when the claim does not come by."""

    def look(number: int, after: bool) -> None:
        if (number, after) == (point.number, point.after):
            reached.append(point)
            came.append(act())

    reached, came = list[Point](), list[Any]()
    with watched(look) as steps:
        try:
            yield came
        finally:
            assert reached == [point], f"not reached, or more than once: {point}"
            assert tuple(steps[: point.number + 1]) == point.deeds[: point.number + 1]


@contextmanager
def watched(look: Callable[[int, bool], None]) -> Iterator[list[str]]:
    """Look before and after each step of this thread's transactions, told its number; yields what the steps do."""
    steps: list[str] = []

    def step(deed: str, do: Act) -> Any:
        number = len(steps)
        steps.append(deed)
        look(number, False)
        answer = do()
        look(number, True)
        return answer

    def statement(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        deed = next((deed for words, deed in DEEDS.items() if words in sql), sql.partition(" FROM ")[0][:60])
        return step(deed, lambda: execute(sql, *rest))

    session: Any = connection  # Django's stubs do not name _commit
    commit = session._commit
    session._commit = lambda: step("commit", commit)
    try:
        with connection.execute_wrapper(statement):
            yield steps
    finally:
        del session._commit
