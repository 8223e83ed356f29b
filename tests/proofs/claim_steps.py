"""The steps of a claim, and the points before and after each of its statements and its commit, as they are really sent."""

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

Action = Callable[[], Any]
# The name of a step by a text that only its statement has. Any other statement is a step too.
STATEMENTS = {
    "INSERT INTO ledger_idempotencykey": "key",
    "FOR NO KEY UPDATE": "lock",  # of credits; in a batch also the user's locks and allowances in the pools
    "per_user_limit": "allowance",
    "UPDATE assets_cashbackasset": "record",  # and the entry, in one round trip
    "UPDATE ledger_idempotencykey": "answer",
}
ALWAYS = {"key", "lock", "record", "answer", "commit"}  # the steps of every claim with a key


@dataclass(frozen=True)
class Contest:
    """A pool that allows each user one credit, its credits, and the users who claim at the same time."""

    pool: CreditPool
    credits: list[CashbackAsset]
    users: list[User]


@dataclass(frozen=True)
class ClaimPath:
    """One path of a claim: from a pool or of one credit, in a batch or individually, and the size of the batch."""

    batcher: Batcher[ClaimRequest, ClaimOutcome]
    individually: bool
    users: int = 1

    @property
    def taken_code(self) -> str:
        """The code of the refusal when another claim was first."""
        return "pool_sold_out" if self.batcher is pool_claim_batcher else "asset_already_claimed"

    @property
    def expired_code(self) -> str:
        """The code of the refusal when the last credit has expired."""
        return "pool_sold_out" if self.batcher is pool_claim_batcher else "asset_expired"

    @property
    def user_lock_step(self) -> str:
        """The step from which the user's other claims of the pool wait."""
        if self.individually:
            return "record"
        return "allowance" if self.batcher is pool_claim_batcher else "lock"

    def request(self, contest: Contest, user: User, key: str = "the-first-key", credit: int = 0) -> ClaimRequest:
        target = contest.pool.pk if self.batcher is pool_claim_batcher else contest.credits[credit].pk
        return ClaimRequest(target, user, IdempotentRequest(user, "claim", f"{key}-{contest.pool.pk}", fingerprint(target)))

    def claim(self, contest: Contest) -> list[Claim | Refusal]:
        """Claim for all users of the contest and return the outcomes, in the order of the users."""
        *others, last = [self.request(contest, user) for user in contest.users]
        items = [PendingItem[ClaimRequest, ClaimOutcome](request) for request in others]
        self.batcher.queue.extend(items)
        own = outcome_of(lambda: self.batcher.run_one(last) if self.individually else self.batcher.submit(last))
        return [*(self.outcome_of_item(item) for item in items), own]

    def claim_codes(self, contest: Contest) -> list[str]:
        """Claim for all users of the contest and return a code for each."""
        return [outcome_code(outcome) for outcome in self.claim(contest)]

    def outcome_of_item(self, item: PendingItem[ClaimRequest, ClaimOutcome]) -> Claim | Refusal:
        """Return the outcome of a follower in the batch, who retries individually when the batch has none."""
        if isinstance(item.outcome, RetryIndividually):
            return outcome_of(lambda: self.batcher.run_one(item.item))
        assert isinstance(item.outcome, Claim | Refusal)
        return item.outcome


MakeContests = Callable[..., list[Contest]]
CLAIM_PATHS = {
    "a credit, in a batch": ClaimPath(asset_claim_batcher, individually=False),
    "a credit, individually": ClaimPath(asset_claim_batcher, individually=True),
    "from a pool, in a batch": ClaimPath(pool_claim_batcher, individually=False),
    "from a pool, individually": ClaimPath(pool_claim_batcher, individually=True),
    "from a pool, two in a batch": ClaimPath(pool_claim_batcher, individually=False, users=2),
}


@dataclass(frozen=True)
class Point:
    """A point of a claim: before or after its step `number`."""

    number: int
    steps: tuple[str, ...]
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} step {self.number}, {self.step}"

    @property
    def step(self) -> str:
        return self.steps[self.number]

    def is_past(self, step: str) -> bool:
        """Return whether the claim has completed the step."""
        first = self.steps.index(step)
        return self.number > first or (self.number == first and self.after)


Recorded = Callable[[list[tuple[Point, Contest]]], list[tuple[Point, Contest]]]


def outcome_of(claim: Callable[[], ClaimOutcome]) -> Claim | Refusal:
    try:
        return claim()
    except Refusal as refusal:
        return refusal


def outcome_code(outcome: Claim | Refusal) -> str:
    return str(outcome.status_code) if isinstance(outcome, Claim) else outcome.code


def claim_points(path: ClaimPath, make_contests: MakeContests, **options: int) -> list[tuple[Point, Contest]]:
    """Return every point of a claim on this path, each with a contest; an undisturbed claim shows the steps."""
    (undisturbed,) = make_contests(path, 1, **options)
    with observed(lambda *_: None) as steps:
        assert path.claim_codes(undisturbed) == ["201"] * path.users
    assert set(steps) >= ALWAYS
    points = [Point(number, tuple(steps), after) for number in range(len(steps)) for after in (False, True)]
    return list(zip(points, make_contests(path, len(points), **options), strict=True))


@contextmanager
def at(point: Point, action: Action) -> Iterator[list[Any]]:
    """Run the action once, at the point, and yield a list for its result; fail unless the claim reaches the point once."""

    def observe(number: int, after: bool) -> None:
        if (number, after) == (point.number, point.after):
            reached.append(point)
            results.append(action())

    reached, results = list[Point](), list[Any]()
    with observed(observe) as steps:
        try:
            yield results
        finally:
            assert reached == [point], f"not reached, or more than once: {point}"
            assert tuple(steps[: point.number + 1]) == point.steps[: point.number + 1]


@contextmanager
def observed(observe: Callable[[int, bool], None]) -> Iterator[list[str]]:
    """Call `observe` with the number of each step before and after it, in this thread; yield the names of the steps."""
    steps: list[str] = []

    def run_step(name: str, run: Action) -> Any:
        number = len(steps)
        steps.append(name)
        observe(number, False)
        result = run()
        observe(number, True)
        return result

    def run_statement(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        name = next((name for text, name in STATEMENTS.items() if text in sql), sql.partition(" FROM ")[0][:60])
        return run_step(name, lambda: execute(sql, *rest))

    session: Any = connection  # Django's stubs do not name _commit
    commit = session._commit
    session._commit = lambda: run_step("commit", commit)
    try:
        with connection.execute_wrapper(run_statement):
            yield steps
    finally:
        del session._commit
