"""The race: many clients in several processes, released at the same time, and their log of responses."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Protocol

from dev.race.claim_client import ClaimClient
from dev.race.fixture import Participant, RaceFixture
from dev.race.plan import Plan
from dev.race.transport import Transport
from kernel.refusals import Refusal
from wallet.verification import claim_log
from wallet.verification.claim_log import Attempt

CONTEXT = multiprocessing.get_context("fork")
PROCESSES = 4
BARRIER_SECONDS = 120
REPEATED = 0.2  # share of the successful pool claims that are repeated with the same key


class Closable(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it."""


class RacingClient(Protocol):
    """One thread of a race, its connection and its log of attempts (dataclasses)."""

    log: list[Any]

    @property
    def transport(self) -> Closable:
        """The connection, which is closed at the end."""

    def run(self) -> None:
        """Send the requests of every round."""


class RaceInterrupted(Refusal):
    """A client ended before the race did."""

    code = "race_interrupted"
    detail = "The race was interrupted: a client process ended early; see above."


@dataclass(frozen=True)
class Race:
    """The data that all clients share: the plan, the fixture, the transport, and the barrier that releases them."""

    plan: Plan
    fixture: RaceFixture
    connect: Callable[[], Transport]
    barrier: Barrier
    progress: Callable[[], None]


class Client(ClaimClient):
    """One thread of the race with one connection, which sends the requests of its share of the users."""

    def __init__(self, race: Race, number: int) -> None:
        plan, participants = race.plan, race.fixture.participants
        super().__init__(race.connect(), number, plan.seed)
        self.race = race
        self.participants = participants[number :: plan.connections]
        self.drainers = participants[: plan.drainers][number :: plan.connections]

    def run(self) -> None:
        """Send this client's requests of every round."""
        plan, fixture = self.race.plan, self.race.fixture
        for credit in fixture.credits:
            self.random.shuffle(self.participants)
            self.wait()
            for participant in self.participants:
                self.request_until_answered("asset", credit, participant, None)
        self.wait()
        for attempt in range(plan.tries):
            for participant in self.drainers:
                self.claim_from_pool(participant, f"race-{plan.seed}-{attempt}-{participant.id[-12:]}")

    def wait(self) -> None:
        """Wait until all clients are ready."""
        self.race.barrier.wait(BARRIER_SECONDS)
        if self.number == 0:
            self.race.progress()

    def claim_from_pool(self, participant: Participant, key: str) -> None:
        """Claim any credit of the pool; repeat some of the successful requests."""
        response = self.request_until_answered("pool", self.race.fixture.pool, participant, key)
        if response.outcome == "ok" and self.random.random() < REPEATED:
            self.request_until_answered("pool", self.race.fixture.pool, participant, key)


def run_clients(
    plan: Plan, fixture: RaceFixture, connect: Callable[[], Transport], folder: Path, progress: Callable[[], None]
) -> list[Attempt]:
    """Run all clients and return their attempts; `progress` is called when a round begins.

    Call it without open connections or threads: the clients' processes are forks. Raises RaceInterrupted.
    """
    race = Race(plan, fixture, connect, CONTEXT.Barrier(plan.connections), progress)
    files = run_processes(plan.connections, race.barrier, partial(Client, race), folder)
    return sorted((attempt for file in files for attempt in claim_log.read_log(file)), key=lambda attempt: attempt.started)


def run_processes(clients: int, barrier: Barrier, make: Callable[[int], RacingClient], folder: Path) -> list[Path]:
    """Run so many clients, which `make` makes by number, in forked processes; return the files of their logs."""
    shares = [range(first, clients, PROCESSES) for first in range(min(PROCESSES, clients))]
    files = [folder / f"{share.start}.jsonl" for share in shares]
    processes = [
        CONTEXT.Process(target=client_share, args=(make, barrier, share, file), daemon=True)
        for share, file in zip(shares, files, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RaceInterrupted
    return files


def client_share(make: Callable[[int], RacingClient], barrier: Barrier, numbers: range, file: Path) -> None:
    """Run some of the clients, one thread each, and write their attempts to a file."""
    with ThreadPoolExecutor(len(numbers)) as threads:
        logs = list(threads.map(lambda number: run_client(make, barrier, number), numbers))
    claim_log.write_log(file, (attempt for log in logs for attempt in log))


def run_client(make: Callable[[int], RacingClient], barrier: Barrier, number: int) -> list[Any]:
    """Run one client and return its attempts; when it fails, release the others from the barrier."""
    try:
        client = make(number)
        try:
            client.run()
        finally:
            client.transport.close()
    except BaseException:
        barrier.abort()
        raise
    return client.log
