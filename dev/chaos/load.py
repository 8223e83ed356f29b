"""Clients that claim during an experiment, and their log of attempts."""

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType

from django.db import DatabaseError, InterfaceError, connection

from dev.race.claim_client import ClaimClient
from dev.race.fixture import RaceFixture
from dev.race.transport import Transport
from kernel.refusals import Refusal
from wallet.actions import seal_ledger
from wallet.verification.claim_log import Attempt

CLOSING_TRIES = 80  # of a request that is unanswered: more than half a minute
START_SECONDS = 20
SHARE_BY_ID = 0.2  # of the requests: for one known credit, which many claim; the others are for any credit of the pool
SEAL_EVERY_SECONDS = 1


class LoadBroke(Refusal):
    """The clients do not start, or one of them ended with an error."""

    code = "load_broke"
    detail = "The clients of the experiment failed."


class Client(ClaimClient):
    """Claims until the load stops, and waits until its last request is answered."""

    closing_tries = CLOSING_TRIES

    def __init__(self, load: "Load", number: int) -> None:
        super().__init__(load.connect(), number, load.seed)
        self.load = load

    def run(self) -> None:
        """Send one request after the other."""
        fixture, turn = self.load.fixture, 0
        while not self.load.over.is_set():
            participant, turn = self.random.choice(fixture.participants), turn + 1
            if self.random.random() < SHARE_BY_ID:
                self.request_until_answered("asset", self.random.choice(fixture.credits), participant, None, self.closing_tries)
            else:
                self.request_until_answered(
                    "pool", fixture.pool, participant, f"under-load-{self.load.seed}-{self.number}-{turn}", self.closing_tries
                )


class Load:
    """Concurrent clients, one thread each, and a sealer; a context manager."""

    def __init__(self, fixture: RaceFixture, connect: Callable[[], Transport], clients: int, seed: int) -> None:
        self.fixture, self.connect, self.seed = fixture, connect, seed
        self.over = threading.Event()
        self.errors: list[BaseException] = []
        self.clients: list[Client] = []
        self.threads = [threading.Thread(target=self.run_client, args=(number,)) for number in range(clients)]
        self.threads.append(threading.Thread(target=self.seal))

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        deadline = time.monotonic() + START_SECONDS
        while self.claims() < len(self.threads):
            if self.errors or time.monotonic() > deadline:
                self.stop()
                raise LoadBroke(f"{LoadBroke.detail} {self.errors or self.log[-1:]}")
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self.errors and error is None:
            raise LoadBroke(f"{LoadBroke.detail} {self.errors[0]!r}") from self.errors[0]

    @property
    def log(self) -> list[Attempt]:
        """The attempts of all clients, by start time."""
        return sorted((attempt for client in self.clients for attempt in client.log), key=lambda attempt: attempt.started)

    def claims(self) -> int:
        """Return the number of requests answered with a claim."""
        return sum(attempt.outcome == "ok" for client in self.clients for attempt in list(client.log))

    def stop(self) -> None:
        """Stop, after every client has finished its request."""
        self.over.set()
        for thread in self.threads:
            thread.join()

    def new_client(self, number: int) -> Client:
        """Make a client."""
        return Client(self, number)

    def run_client(self, number: int) -> None:
        """Run one client."""
        try:
            client = self.new_client(number)
            self.clients.append(client)
            try:
                client.run()
            finally:
                client.transport.close()
        except BaseException as error:  # noqa: BLE001  (raised by __exit__)
            self.errors.append(error)

    def seal(self) -> None:
        """Seal every second, as the scheduler does, whatever fails."""
        while not self.over.wait(SEAL_EVERY_SECONDS):
            with contextlib.suppress(Refusal, DatabaseError, InterfaceError):
                self.seal_once()
        connection.close()

    def seal_once(self) -> None:
        """Seal what is closed."""
        seal_ledger.seal_all()
