"""The report of a race."""

import statistics
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from dev.race.fixture import RaceFixture
from dev.race.plan import Plan
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt


@dataclass(frozen=True)
class Report:
    """The figures and violations of a race; latencies in milliseconds.

    `winners` is the number of credits with exactly one owner, `drained` the number of claims from the pool, and
    `claims_per_second` their rate.
    """

    plan: Plan
    winners: int
    drained: int
    claims_per_second: float
    attempts: int
    replays: int
    refusals: dict[str, int]
    unknown: dict[str, int]
    seconds: float
    p50: float
    p95: float
    p99: float
    violations: list[Violation]

    def as_json(self) -> dict[str, Any]:
        """Return the report in JSON types."""
        return asdict(self) | {"green": not self.violations}


def from_json(found: dict[str, Any]) -> Report:
    """Return the report that as_json wrote."""
    fields = {name: value for name, value in found.items() if name != "green"}
    violations = [Violation(**violation) for violation in found["violations"]]
    return Report(**fields | {"plan": Plan(**found["plan"]), "violations": violations})


def build_report(plan: Plan, fixture: RaceFixture, log: list[Attempt], violations: list[Violation]) -> Report:
    """Return the figures of a race from its log, its violations included."""
    claimed = {(attempt.kind, attempt.entry): attempt for attempt in log if attempt.outcome == "ok"}
    winners = Counter(attempt.receipt["asset"] for (kind, _), attempt in claimed.items() if kind == "asset" and attempt.receipt)
    latencies = sorted(1000 * (attempt.ended - attempt.started) for attempt in log)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return Report(
        plan=plan,
        winners=sum(winners[credit] == 1 for credit in fixture.credits),
        drained=sum(kind == "pool" for kind, _ in claimed),
        claims_per_second=requests_per_second([attempt for (kind, _), attempt in claimed.items() if kind == "pool"]),
        attempts=len(log),
        replays=sum(attempt.outcome == "ok" for attempt in log) - len(claimed),
        refusals=dict(Counter(attempt.code for attempt in log if attempt.outcome == "refused").most_common()),
        unknown=dict(Counter(attempt.code for attempt in log if attempt.outcome == "unknown").most_common()),
        seconds=max(attempt.ended for attempt in log) - min(attempt.started for attempt in log),
        p50=cuts[49],
        p95=cuts[94],
        p99=cuts[98],
        violations=[*violations, *client_complaints(plan, fixture, log)],
    )


def requests_per_second(answered: list[Attempt]) -> float:
    """Return the responses per second, from the first request to the last response."""
    if not answered:
        return 0.0
    seconds = max(attempt.ended for attempt in answered) - min(attempt.started for attempt in answered)
    return len(answered) / max(seconds, 0.001)


def client_complaints(plan: Plan, fixture: RaceFixture, log: list[Attempt]) -> list[Violation]:
    """Return violations that only clients see: an unclaimed credit, a false "sold out", an error."""
    found = []
    got: dict[str, set[Any]] = defaultdict(set)
    for attempt in log:
        if attempt.outcome == "ok":
            got[attempt.target].add(attempt.entry)
    for credit in fixture.credits:
        if len(got[credit]) != 1:
            found.append(Violation("race", f"asset {credit} was claimed by {len(got[credit])} of {plan.users} users"))
    if len(got[fixture.pool]) != plan.drained:
        found.append(Violation("race", f"pool {fixture.pool} gave {len(got[fixture.pool])} claims, not {plan.drained}"))
    return [*found, *false_sold_outs(log), *unexpected_errors(log)]


def false_sold_outs(log: list[Attempt]) -> list[Violation]:
    """Return the "sold out" refusals after which a later request still claimed a credit of the pool."""
    fresh: dict[Any, float] = {}
    for attempt in log:
        if attempt.kind == "pool" and attempt.outcome == "ok":
            fresh.setdefault(attempt.entry, attempt.started)
    last = max(fresh.values(), default=0.0)
    return [
        Violation(
            "race",
            f"{attempt.id}: {attempt.code}, but a later request claimed a credit of pool {attempt.target}",
        )
        for attempt in log
        if attempt.code == "pool_sold_out" and attempt.ended < last
    ]


def unexpected_errors(log: list[Attempt]) -> list[Violation]:
    """Return the unexpected errors, which no client should get without a fault."""
    return [
        Violation("race", f"{attempt.id} for {attempt.kind} {attempt.target} was answered {attempt.code}")
        for attempt in log
        if attempt.outcome == "unknown"
    ]
