"""One client: how it asks, how often, and what it remembers."""

import random
import time
from typing import Literal

from dev.race.fixture import Racer
from dev.race.transport import ClaimResponse, Transport
from wallet.verification.claim_log import Attempt

MAX_TRIES = 30  # of one request whose answer was "busy", or was lost


class ClaimClient:
    """Asks one request at a time, sends it again with the same key while there is no answer, and logs every attempt."""

    def __init__(self, way: Transport, number: int, seed: int) -> None:
        self.way, self.number = way, number
        self.log: list[Attempt] = []
        self.random = random.Random(f"{seed}/{number}")  # noqa: S311  (the run must be repeatable)

    def persist(
        self, kind: Literal["asset", "pool"], target: str, racer: Racer, key: str | None, tries: int = MAX_TRIES
    ) -> ClaimResponse:
        """Ask until there is an answer, as a client should."""
        for again in range(tries):
            heard = self.ask(kind, target, racer, key)
            if not heard.worth_another_try:
                break
            time.sleep(self.random.uniform(0.01, 0.05) * min(again + 1, 10))
        return heard

    def ask(self, kind: Literal["asset", "pool"], target: str, racer: Racer, key: str | None) -> ClaimResponse:
        """Ask once and remember what was heard."""
        started = time.time()
        heard = self.way.asset(racer, target) if key is None else self.way.pool(racer, target, key)
        ended = time.time()
        name = f"client {self.number}, request {len(self.log)}"
        self.log.append(
            Attempt(name, kind, target, racer.id, key, started, ended, heard.outcome, heard.status, heard.code, heard.receipt)
        )
        return heard
