"""The clients' log of payments, and I22: acknowledged payments are in the ledger, and all that is there was asked for."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from wallet.verification.checker import Violation, fetch_rows
from wallet.verification.claim_log import Outcome

Step = Literal["spend", "hold", "capture", "release", "refund"]
MOVEMENTS = """
SELECT movement.id::text, movement.kind, movement.amount::text, movement.payment_id::text, movement.request_key
FROM ledger_movement AS movement JOIN ledger_payment AS payment ON payment.id = movement.payment_id
WHERE payment.user_id = ANY(%s)
"""


@dataclass(frozen=True)
class PaymentAttempt:
    """One request and its response, as seen by the client.

    `started` and `ended` are seconds since the epoch by the client's clock. `outcome` is unknown when the client cannot know
    whether the request was carried out. `code` is the code of the refusal or an error; `payment` is the acknowledged payment.
    """

    id: str
    step: Step
    user: str
    reference: str
    key: str
    started: float
    ended: float
    outcome: Outcome
    status: int | None
    code: str
    payment: dict[str, Any] | None = None


def read_payment_log(path: Path) -> Iterator[PaymentAttempt]:
    """Yield the attempts of a log, which `claim_log.write_log` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield PaymentAttempt(**json.loads(line))


def payment_log_violations(connection: BaseDatabaseWrapper, log: Sequence[PaymentAttempt]) -> list[Violation]:
    """I22: return what the clients' log shows. Its users must have made no other payments."""
    users = [UUID(user) for user in {attempt.user for attempt in log}]
    movements = {row[0]: row[1:] for row in fetch_rows(connection, MOVEMENTS, [users])}
    return [*lost_movements(log, movements), *unasked_movements(log, movements), *changed_answers(log)]


def lost_movements(log: Iterable[PaymentAttempt], movements: dict[str, tuple[Any, ...]]) -> list[Violation]:
    """Return the acknowledged movements that the ledger does not have, or has differently."""
    violations = []
    for attempt in log:
        for told in (attempt.payment or {}).get("movements", ()):
            kind, amount, payment, _ = movements.get(told["id"]) or (None, "0", None, None)
            if (kind, payment) != (told["kind"], attempt.payment and attempt.payment["id"]) or not same_amount(amount, told):
                violations.append(
                    Violation(
                        "I22", f"movement {told['id']}, acknowledged for {attempt.reference} ({attempt.id}), is not there"
                    )
                )
    return violations


def same_amount(recorded: str, told: dict[str, Any]) -> bool:
    """Return whether the recorded amount, which has four decimals, is the one that the client was told."""
    return Decimal(recorded) == Decimal(told["amount"])


def unasked_movements(log: Iterable[PaymentAttempt], movements: dict[str, tuple[Any, ...]]) -> list[Violation]:
    """Return the movements that were neither acknowledged nor explained by a lost response.

    A release without a key was made by the clock, or by the final capture of its payment.
    """
    acknowledged = {told["id"] for attempt in log for told in (attempt.payment or {}).get("movements", ())}
    lost = {attempt.key for attempt in log if attempt.outcome == "unknown"}
    return [
        Violation("I22", f"movement {movement} ({kind} of payment {payment}, key {key or '-'}) was not acknowledged")
        for movement, (kind, _, payment, key) in movements.items()
        if movement not in acknowledged and key not in lost and not (kind == "RELEASE" and key is None)
    ]


def changed_answers(log: Iterable[PaymentAttempt]) -> list[Violation]:
    """Return the keys with which one client received different answers, and the references that were paid twice."""
    answers: dict[str, set[str]] = defaultdict(set)
    payments: dict[tuple[str, str], set[str]] = defaultdict(set)
    for attempt in log:
        if attempt.outcome == "ok" and attempt.payment:
            if attempt.status == 201:
                answers[attempt.key].add(json.dumps(attempt.payment))
            payments[attempt.user, attempt.reference].add(attempt.payment["id"])
    return [
        *(
            Violation("I22", f"key {key} got {len(found)} different answers")
            for key, found in answers.items()
            if len(found) > 1
        ),
        *(
            Violation("I22", f"order {reference} of user {user} has {len(found)} payments")
            for (user, reference), found in payments.items()
            if len(found) > 1
        ),
    ]
