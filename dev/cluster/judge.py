"""The verdict on a run: the checker's, and each fault's share of what was lost or doubled."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from dev.chaos.experiment import seal_and_settle, unanswered_requests
from dev.chaos.payment_load import judge_payments
from dev.cluster.measure import (
    AnyAttempt,
    Measured,
    acknowledged,
    count_status,
    count_unanswered,
    longest_gap,
    within,
)
from dev.race.fixture import RaceFixture
from wallet.verification.checker import (
    Violation,
    conflicting_responses,
    fetch_rows,
    lost_claims,
    snapshot_connection,
    verify_everything,
)
from wallet.verification.claim_log import Attempt
from wallet.verification.payment_log import PaymentAttempt, changed_answers, payment_log_violations

ENTRIES = "SELECT id, asset_id, user_id, request_key FROM ledger_entry"


@dataclass(frozen=True)
class Window:
    """The time of one fault."""

    name: str
    what: str
    bound: float | None
    begun: float
    ended: float


@dataclass(frozen=True)
class Logs:
    """The logs of a run."""

    claims: list[Attempt]
    payments: list[PaymentAttempt]


def judge_cluster(logs: Logs, fixture: RaceFixture) -> list[Violation]:
    """Seal and check everything; return the violations."""
    connection.close()
    seal_and_settle()
    with snapshot_connection() as reader:
        found = verify_everything(reader, logs.claims, fixture.issued)
    return [*found, *unanswered_requests(logs.claims), *judge_payments(logs.payments)]


def measure_faults(logs: Logs, windows: Sequence[Window]) -> list[Measured]:
    """Return the figures of each fault."""
    with snapshot_connection() as reader:
        return [measure_fault(reader, logs, window) for window in windows]


def measure_fault(reader: BaseDatabaseWrapper, logs: Logs, window: Window) -> Measured:
    """Return the figures of one fault."""
    claims: list[Attempt] = within(logs.claims, window.begun, window.ended)  # type: ignore[assignment]
    payments: list[PaymentAttempt] = within(logs.payments, window.begun, window.ended)  # type: ignore[assignment]
    lost = {attempt_id(violation) for violation in lost_claims(claims, fetch_rows(reader, ENTRIES))}
    lost |= {
        attempt_id(violation) for violation in payment_log_violations(reader, payments) if "is not there" in str(violation)
    }
    both: list[AnyAttempt] = [*claims, *payments]
    return Measured(
        name=window.name,
        what=window.what,
        outage=round(longest_gap([*logs.claims, *logs.payments], window.begun, window.ended), 2),
        bound=window.bound,
        claims=acknowledged(claims),
        payments=acknowledged(payments),
        lost=len(lost),
        doubled=len(conflicting_responses(claims)) + len(changed_answers(payments)),
        errors=count_status(both, busy=False),
        busy=count_status(both, busy=True),
        unanswered=count_unanswered(both),
    )


def attempt_id(violation: Violation) -> str:
    """Return what a violation of I2 or I22 is about: the entry or the movement."""
    return violation.sentence.split(",")[0]
