"""The report of a race of payments."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dev.payment_race.fixture import PaymentFixture
from dev.payment_race.plan import PaymentPlan
from wallet.verification.checker import Violation
from wallet.verification.payment_log import PaymentAttempt


@dataclass(frozen=True)
class PaymentReport:
    """The figures and violations of a race; latencies in milliseconds.

    `paid` is the number of payments from the wallets to be emptied, and `payments_per_second` their rate.
    """

    plan: PaymentPlan
    paid: int
    payments_per_second: float
    attempts: int
    replays: int
    done: dict[str, int]
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


def from_json(found: dict[str, Any]) -> PaymentReport:
    """Return the report that as_json wrote."""
    fields = {name: value for name, value in found.items() if name != "green"}
    violations = [Violation(**violation) for violation in found["violations"]]
    return PaymentReport(**fields | {"plan": PaymentPlan(**found["plan"]), "violations": violations})


def build_report(
    plan: PaymentPlan, fixture: PaymentFixture, log: list[PaymentAttempt], violations: Sequence[Violation]
) -> PaymentReport:
    """Return the figures of a race from its log, its violations included."""
    done = [attempt for attempt in log if attempt.outcome == "ok"]
    first = {(attempt.step, attempt.key): attempt for attempt in reversed(done)}
    spends = [attempt for attempt in first.values() if attempt.step == "spend" and attempt.status == 201]
    cuts = statistics.quantiles([1000 * (attempt.ended - attempt.started) for attempt in log], n=100, method="inclusive")
    seconds = max(a.ended for a in spends) - min(a.started for a in spends) if spends else 1.0
    return PaymentReport(
        plan=plan,
        paid=len({(attempt.payment or {}).get("id") for attempt in spends}),
        payments_per_second=len(spends) / max(seconds, 0.001),
        attempts=len(log),
        replays=len(done) - len(first),
        done=dict(Counter(attempt.step for attempt in first.values()).most_common()),
        refusals=dict(Counter(attempt.code for attempt in log if attempt.outcome == "refused").most_common()),
        unknown=dict(Counter(attempt.code for attempt in log if attempt.outcome == "unknown").most_common()),
        seconds=max(attempt.ended for attempt in log) - min(attempt.started for attempt in log),
        p50=cuts[49],
        p95=cuts[94],
        p99=cuts[98],
        violations=[*violations, *client_complaints(plan, fixture, log)],
    )


def client_complaints(plan: PaymentPlan, fixture: PaymentFixture, log: Sequence[PaymentAttempt]) -> list[Violation]:
    """Return violations that only clients see: a wallet not emptied, a false "not enough", an error."""
    payments: dict[str, set[Any]] = defaultdict(set)
    for attempt in log:
        if attempt.step == "spend" and attempt.payment:
            payments[attempt.user].add(attempt.payment["id"])
    found = [
        Violation("race", f"the wallet of user {user} paid {len(payments[user])} orders, not {plan.payable}")
        for user in fixture.emptied
        if len(payments[user]) != plan.payable
    ]
    return [*found, *false_shortages(log), *unexpected_errors(log)]


def false_shortages(log: Sequence[PaymentAttempt]) -> list[Violation]:
    """Return the refusals for too little credit after which a later request still paid the same amount from the wallet."""
    first: dict[Any, PaymentAttempt] = {}
    for attempt in log:
        if attempt.step == "spend" and attempt.payment:
            first.setdefault(attempt.payment["id"], attempt)
    last: dict[str, float] = {}
    for attempt in first.values():
        last[attempt.user] = max(last.get(attempt.user, 0.0), attempt.started)
    return [
        Violation("race", f"{attempt.id}: {attempt.code}, but a later request paid from the wallet of user {attempt.user}")
        for attempt in log
        if attempt.step == "spend" and attempt.code == "insufficient_credit" and attempt.ended < last.get(attempt.user, 0.0)
    ]


def unexpected_errors(log: Sequence[PaymentAttempt]) -> list[Violation]:
    """Return the unexpected errors, which no client should get without a fault."""
    return [
        Violation("race", f"{attempt.id}, {attempt.step} for {attempt.reference}, was answered {attempt.code}")
        for attempt in log
        if attempt.outcome == "unknown"
    ]
