"""A client that claims, retries and logs every attempt."""

import random
import time
from typing import Literal

from dev.race.fixture import Participant
from dev.race.transport import ClaimResponse, Transport
from wallet.verification.claim_log import Attempt

MAX_TRIES = 30  # of one request that was busy or unanswered


class ClaimClient:
    """Sends one request at a time, repeats it with the same key until it is answered, and logs every attempt."""

    def __init__(self, transport: Transport, number: int, seed: int) -> None:
        self.transport, self.number = transport, number
        self.log: list[Attempt] = []
        self.random = random.Random(f"{seed}/{number}")  # noqa: S311  (the run must be repeatable)

    def request_until_answered(
        self, kind: Literal["asset", "pool"], target: str, participant: Participant, key: str | None, tries: int = MAX_TRIES
    ) -> ClaimResponse:
        """Send a request until it is answered, as clients should."""
        for again in range(tries):
            response = self.ask(kind, target, participant, key)
            if not response.is_retryable:
                break
            time.sleep(self.random.uniform(0.01, 0.05) * min(again + 1, 10))
        return response

    def ask(self, kind: Literal["asset", "pool"], target: str, participant: Participant, key: str | None) -> ClaimResponse:
        """Send a request once and log the attempt."""
        started = time.time()
        response = self.transport.asset(participant, target) if key is None else self.transport.pool(participant, target, key)
        ended = time.time()
        name = f"client {self.number}, request {len(self.log)}"
        self.log.append(
            Attempt(
                name,
                kind,
                target,
                participant.id,
                key,
                started,
                ended,
                response.outcome,
                response.status,
                response.code,
                response.receipt,
            )
        )
        return response
