"""Clients of the cluster: they claim and pay over HTTP at either web host, and repeat with the same key at the other."""

import http.client
import time
from functools import partial
from pathlib import Path

from dev.chaos import load
from dev.chaos.payment_load import LoadPayer, PaymentLoad
from dev.cluster import network
from dev.cluster.hosts import WEB_PORT
from dev.payment_race.fixture import PaymentFixture
from dev.payment_race.http_transport import HttpPayments
from dev.race.fixture import RaceFixture
from dev.race.transport import ClaimResponse
from dev.race.web_server import HttpTransport
from wallet.actions import seal_ledger
from wallet.actions.export_seals import export_seals

ANSWER_SECONDS = 10  # then a client asks the other web host
CLAIMERS, PAYERS = 6, 3
CLOSING_TRIES = 400  # of a request that is unanswered: more than a minute
PAUSE_SECONDS = (0.02, 0.06)  # between two claims of a client
ORDER_PAUSE_SECONDS = (0.2, 0.5)  # between two orders
# As the load balancer in front sends them.
FORWARDED = {"X-Forwarded-For": network.GATEWAY, "X-Forwarded-Proto": "https"}


class EitherHost(HttpTransport):
    """One keep-alive connection to a web host, to the other after a request without an answer."""

    def __init__(self, number: int) -> None:
        self.turn = number
        self.connection = self.next_connection()

    def next_connection(self) -> http.client.HTTPConnection:
        """Return a connection to the next web host; it is opened by its first request."""
        self.turn += 1
        host = network.ADDRESSES[network.WEBS[self.turn % len(network.WEBS)]]
        return http.client.HTTPConnection(host, WEB_PORT, timeout=ANSWER_SECONDS)

    def post(self, path: str, headers: dict[str, str], body: str | None = None) -> ClaimResponse:
        """Send one request and read its response."""
        response = super().post(path, headers | FORWARDED, body)
        if response.outcome == "unknown" or response.code == "busy":
            self.connection.close()
            self.connection = self.next_connection()
        return response


class EitherHostPayments(HttpPayments):
    """The same for payments."""

    def __init__(self, number: int, api_key: str) -> None:
        self.http = EitherHost(number)
        self.api_key = api_key


class ClusterClaimer(load.Client):
    """Claims with pauses, and waits for an answer for as long as a failover may take."""

    closing_tries = CLOSING_TRIES

    def ask(self, *request: object) -> ClaimResponse:
        """Send a request once, after a pause."""
        time.sleep(self.random.uniform(*PAUSE_SECONDS))
        return super().ask(*request)  # type: ignore[arg-type]


class ClusterLoad(load.Load):
    """Claiming clients, and a sealer that exports each seal at once."""

    def __init__(self, fixture: RaceFixture, seed: int, roots: Path) -> None:
        super().__init__(fixture, EitherHostFactory(), CLAIMERS, seed)
        self.roots = roots

    def new_client(self, number: int) -> load.Client:
        """Make a client."""
        return ClusterClaimer(self, number)

    def seal_once(self) -> None:
        """Seal, and export as SEAL_EXPORT_FILE would."""
        seal_ledger.seal_all()
        export_seals(self.roots)


class EitherHostFactory:
    """Makes connections, which begin at the web hosts by turns."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> EitherHost:
        """Make a connection."""
        self.made += 1
        return EitherHost(self.made)


class ClusterPayer(LoadPayer):
    """Takes orders through their steps, with pauses."""

    def whole_order(self, user: str) -> None:
        """Make one order, then pause."""
        super().whole_order(user)
        time.sleep(self.random.uniform(*ORDER_PAUSE_SECONDS))


class ClusterPayments(PaymentLoad):
    """Paying clients, which call the API with a service's key."""

    def __init__(self, fixture: PaymentFixture, seed: int) -> None:
        super().__init__(fixture, seed, PAYERS)
        self.connect = partial(EitherHostPayments, 0, fixture.api_key)

    def run_client(self, number: int) -> None:
        """Run one client."""
        try:
            client = ClusterPayer(self, number)
            client.max_tries = CLOSING_TRIES
            self.clients.append(client)
            client.run()
        except BaseException as error:  # noqa: BLE001  (raised by __exit__)
            self.errors.append(error)
